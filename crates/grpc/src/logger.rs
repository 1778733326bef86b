use std::{fmt, io, sync::Arc};

use tonic::{Request, Response, Status};

use crate::messages::log::{
    RestartLoggerRequest, RestartLoggerResponse, logger_service_server::LoggerService,
};

/// Opens log files again. Who starts the API knows where logs go.
#[derive(Clone)]
pub struct RestartLogger(Arc<dyn Fn() -> io::Result<()> + Send + Sync>);

impl RestartLogger {
    /// Calls this whenever a client asks.
    pub fn new(restart: impl Fn() -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self(Arc::new(restart))
    }
}

impl Default for RestartLogger {
    /// For logs that are in no file, so that there is nothing to open.
    fn default() -> Self {
        Self::new(|| Ok(()))
    }
}

impl fmt::Debug for RestartLogger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RestartLogger")
    }
}

#[tonic::async_trait]
impl LoggerService for RestartLogger {
    async fn restart_logger(
        &self,
        _request: Request<RestartLoggerRequest>,
    ) -> Result<Response<RestartLoggerResponse>, Status> {
        (self.0)().map_err(|error| Status::internal(format!("the log cannot be opened again: {error}")))?;
        Ok(Response::new(RestartLoggerResponse {}))
    }
}
