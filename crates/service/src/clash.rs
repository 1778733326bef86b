//! The control interface in the manner of Clash, where the configuration wants it.

use std::{io::Write as _, sync::Arc};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::error;
use waypost_api::{Api, ApiSettings, BoundApi, Bounds, LevelControl, ListenOn, LogFeed, made_secret};
use waypost_config::model::{ApiListen, ClashApi, Config, LogLevel};
use waypost_config::{Span, Spanned};
use waypost_net::Secret;
use waypost_proxy::{Commit, Companion, Control, Preparing, Reading, preparing};

use crate::{
    free::when_free,
    run::{RunOptions, data_folder},
};

/// The server, which follows the configuration.
#[derive(Debug)]
pub(crate) struct ClashServer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    control: Control,
    feed: LogFeed,
    level: LevelControl,
    /// Whether the level is given on the command line.
    level_is_fixed: bool,
    reading: Reading,
    /// What was made where the configuration has no secret; the same until the end.
    made: Mutex<Option<Secret>>,
    serving: Mutex<Option<Serving>>,
    stop: CancellationToken,
}

/// What is served now.
#[derive(Debug)]
struct Serving {
    wanted: ClashApi,
    stop: CancellationToken,
}

impl ClashServer {
    /// Serves what the configuration wants.
    ///
    /// # Errors
    ///
    /// If it cannot listen, or the folder of the web page is not there.
    pub(crate) async fn start(
        config: &Config,
        control: &Control,
        (options, feed, level): (&RunOptions, LogFeed, LevelControl),
        stop: &CancellationToken,
    ) -> Result<Self, String> {
        let server = Self(Arc::new(Inner {
            control: control.clone(),
            feed,
            level,
            level_is_fixed: options.log_level.is_some(),
            reading: options.reading.clone(),
            made: Mutex::default(),
            serving: Mutex::default(),
            stop: stop.clone(),
        }));
        server.prepare(config).await?();
        Ok(server)
    }
}

impl Companion for ClashServer {
    fn prepare<'a>(&'a self, config: &'a Config) -> Preparing<'a> {
        preparing(self.0.clone().prepare(config))
    }
}

impl Inner {
    async fn prepare(self: Arc<Self>, config: &Config) -> Result<Commit, String> {
        let level = config.log.level;
        let wanted = config.experimental.clash_api.clone().filter(|api| api.listen.is_some());
        let wanted = wanted.map(without_places);
        let before = self.serving.lock().as_ref().map(|serving| serving.wanted.clone());
        if wanted == before {
            return Ok(Box::new(move || self.set_level(level)));
        }
        let Some(api) = wanted else {
            return Ok(Box::new(move || {
                self.set_level(level);
                self.end();
            }));
        };
        let address = |api: &ClashApi| api.listen.as_ref().map(|listen| listen.value.clone());
        let settings = self.settings(&api);
        settings.check().map_err(|error| chain(&error))?;
        let takes_over = before.is_some_and(|before| address(&before) == address(&api));
        // The address is still in use by the one whose place it takes.
        let bound = if takes_over { None } else { Some(bind(settings.clone()).await?) };
        Ok(Box::new(move || {
            self.set_level(level);
            self.end();
            let stop = self.stop.child_token();
            *self.serving.lock() = Some(Serving { wanted: api, stop: stop.clone() });
            tokio::spawn(async move {
                let bound = match bound {
                    Some(bound) => Ok(bound),
                    None => when_free(|| bind(settings.clone())).await,
                };
                match bound {
                    Ok(bound) => bound.run(self.control.clone(), self.feed.clone(), stop).await,
                    Err(error) => {
                        error!(error, "the control interface is not served");
                        // The next reload tries again.
                        self.serving.lock().take();
                    }
                }
            });
        }))
    }

    fn settings(&self, api: &ClashApi) -> ApiSettings {
        let listen = match api.listen.as_ref().map(|listen| &listen.value) {
            Some(ApiListen::Tcp(address)) => ListenOn::Tcp(*address),
            Some(ApiListen::Unix(path)) => ListenOn::Unix(path.to_string().into()),
            None => ListenOn::Tcp(std::net::SocketAddr::from(([127, 0, 0, 1], 0))),
        };
        let texts = |texts: &[Box<str>]| texts.iter().map(|text| text.to_string()).collect();
        let secret = match (&api.secret, &listen) {
            (Some(secret), _) => Some(secret.clone()),
            // Who may open the file may use it.
            (None, ListenOn::Unix(_)) => None,
            (None, ListenOn::Tcp(_)) => Some(self.made_secret(&listen)),
        };
        ApiSettings {
            secret,
            allowed_origins: texts(&api.allowed_origins),
            allowed_hosts: texts(&api.allowed_hosts),
            allow_private_network: api.allow_private_network,
            external_ui: api.external_ui.as_ref().map(|folder| folder.value.to_string().into()),
            reading: Some(Reading { confined_to: Some(data_folder(&self.reading)), ..self.reading.clone() }),
            bounds: Bounds::default(),
            ..ApiSettings::new(listen, None, data_folder(&self.reading))
        }
    }

    /// Makes a secret, and tells it once. The log does not: others may read that.
    fn made_secret(&self, listen: &ListenOn) -> Secret {
        let mut made = self.made.lock();
        made.get_or_insert_with(|| {
            let secret = made_secret(&mut thread_rng());
            let _closed = writeln!(
                std::io::stderr(),
                "the file has no `secret` for the control interface at {listen}, so this one holds until the end: {}",
                secret.expose()
            );
            secret
        })
        .clone()
    }

    fn set_level(&self, level: Option<LogLevel>) {
        let level = level.unwrap_or(LogLevel::Info);
        if !self.level_is_fixed && self.level.get() != level {
            // The log is there as long as the program.
            let _there = self.level.set(level);
        }
    }

    fn end(&self) {
        if let Some(serving) = self.serving.lock().take() {
            serving.stop.cancel();
        }
    }
}

/// The same, wherever in a file it stands.
fn without_places(api: ClashApi) -> ClashApi {
    let listen = api.listen.map(|listen| Spanned::new(listen.value, Span::default()));
    let external_ui = api.external_ui.map(|folder| Spanned::new(folder.value, Span::default()));
    ClashApi { listen, external_ui, ..api }
}

async fn bind(settings: ApiSettings) -> Result<BoundApi, String> {
    Api::bind(settings).await.map_err(|error| chain(&error))
}

/// An error with its cause.
fn chain(error: &dyn std::error::Error) -> String {
    let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{cause}")
}

#[expect(clippy::disallowed_methods, reason = "the shell is where randomness comes from")]
fn thread_rng() -> impl rand::Rng {
    rand::rng()
}
