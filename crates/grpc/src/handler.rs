//! `HandlerService`.

mod fields;
mod inbound;
mod list;
mod outbound;
mod stream;
mod users;

use serde_json::Value;
use tonic::{Request, Response, Status};
use waypost_config::model::{Config, Inbound, OutboundProtocol};
use waypost_proxy::Control;

use crate::{
    change::{Changes, Edit, Entry, File, List},
    messages::proxyman::{
        AddInboundRequest, AddInboundResponse, AddOutboundRequest, AddOutboundResponse, AddUserOperation,
        AlterInboundRequest, AlterInboundResponse, GetInboundUserRequest, GetInboundUserResponse,
        GetInboundUsersCountResponse, InboundHandlerConfig, ListInboundsRequest, ListInboundsResponse,
        ListOutboundsRequest, ListOutboundsResponse, RemoveInboundRequest, RemoveInboundResponse,
        RemoveOutboundRequest, RemoveOutboundResponse, RemoveUserOperation,
        handler_service_server::HandlerService,
    },
    typed::{Typed, shown},
};

/// Adds and removes inbounds, outbounds and users.
#[derive(Debug)]
pub(crate) struct Handler {
    control: Control,
    changes: Changes,
}

impl Handler {
    pub(crate) fn new(control: Control, changes: Changes) -> Self {
        Self { control, changes }
    }

    /// Takes away an entry of `inbounds` or `outbounds`.
    async fn remove(&self, list: List, tag: String) -> Result<(), Status> {
        let remove = move |_: &Config, file: &mut File| {
            file.edit(list, |entries| {
                let before = entries.len();
                entries.retain(|entry| !entry.says("tag", &tag));
                if entries.len() == before || tag.is_empty() {
                    return Err(Status::not_found(format!("there is no {} `{}`", what(list), shown(&tag))));
                }
                Ok(Edit::Done)
            })
        };
        self.changes.apply(remove).await
    }

    /// Adds an entry to `inbounds` or `outbounds`.
    async fn add(&self, list: List, added: Value) -> Result<(), Status> {
        let add = move |_: &Config, file: &mut File| {
            file.edit(list, |entries| {
                let tag = added.get("tag").and_then(Value::as_str);
                if let Some(tag) = tag.filter(|tag| entries.iter().any(|entry| entry.says("tag", tag))) {
                    let message = format!("there is an {} `{}` already", what(list), shown(tag));
                    return Err(Status::already_exists(message));
                }
                entries.push(Entry::try_new(&added)?);
                Ok(Edit::Done)
            })
        };
        self.changes.apply(add).await
    }
}

/// What an entry of a list is called.
fn what(list: List) -> &'static str {
    match list {
        List::Inbounds => "inbound",
        List::Outbounds => "outbound",
        List::Rules => "rule",
        List::Balancers => "balancer",
    }
}

fn find_inbound<'c>(config: &'c Config, tag: &str) -> Result<&'c Inbound, Status> {
    let is_it = |inbound: &&Inbound| inbound.tag.as_ref().is_some_and(|known| known.value.as_str() == tag);
    let found = config.inbounds.iter().find(is_it);
    found.ok_or_else(|| Status::not_found(format!("there is no inbound `{}`", shown(tag))))
}

#[tonic::async_trait]
impl HandlerService for Handler {
    async fn add_inbound(
        &self,
        request: Request<AddInboundRequest>,
    ) -> Result<Response<AddInboundResponse>, Status> {
        let added = request.into_inner().inbound;
        let added = added.ok_or_else(|| Status::invalid_argument("there is no inbound"))?;
        self.add(List::Inbounds, inbound::read(&added)?).await?;
        Ok(Response::new(AddInboundResponse {}))
    }

    async fn remove_inbound(
        &self,
        request: Request<RemoveInboundRequest>,
    ) -> Result<Response<RemoveInboundResponse>, Status> {
        self.remove(List::Inbounds, request.into_inner().tag).await?;
        Ok(Response::new(RemoveInboundResponse {}))
    }

    async fn alter_inbound(
        &self,
        request: Request<AlterInboundRequest>,
    ) -> Result<Response<AlterInboundResponse>, Status> {
        let AlterInboundRequest { tag, operation } = request.into_inner();
        let operation = Typed::of(operation.as_ref(), "operation")?;
        let alteration = match operation.name {
            "app.proxyman.command.AddUserOperation" => {
                users::add(&operation.read::<AddUserOperation>(&[1])?)?
            }
            "app.proxyman.command.RemoveUserOperation" => {
                users::remove(operation.read::<RemoveUserOperation>(&[1])?)
            }
            _ => return Err(operation.refuse("operation")),
        };
        self.changes.apply(move |config, file| users::apply(alteration, &tag, config, file)).await?;
        Ok(Response::new(AlterInboundResponse {}))
    }

    async fn list_inbounds(
        &self,
        request: Request<ListInboundsRequest>,
    ) -> Result<Response<ListInboundsResponse>, Status> {
        let is_only_tags = request.into_inner().is_only_tags;
        let config = self.control.config();
        let entry = |inbound: &Inbound| {
            let entry = list::inbound(inbound);
            if is_only_tags { InboundHandlerConfig { tag: entry.tag, ..Default::default() } } else { entry }
        };
        let inbounds = config.inbounds.iter().map(entry).collect();
        Ok(Response::new(ListInboundsResponse { inbounds }))
    }

    async fn get_inbound_users(
        &self,
        request: Request<GetInboundUserRequest>,
    ) -> Result<Response<GetInboundUserResponse>, Status> {
        let GetInboundUserRequest { tag, email } = request.into_inner();
        let config = self.control.config();
        let users = list::users(find_inbound(&config, &tag)?);
        let users: Vec<_> =
            users.into_iter().filter(|user| email.is_empty() || user.email == email).collect();
        Ok(Response::new(GetInboundUserResponse { users }))
    }

    async fn get_inbound_users_count(
        &self,
        request: Request<GetInboundUserRequest>,
    ) -> Result<Response<GetInboundUsersCountResponse>, Status> {
        let tag = request.into_inner().tag;
        let n_users = find_inbound(&self.control.config(), &tag)?.accounts.len();
        let count = i64::try_from(n_users).unwrap_or(i64::MAX);
        Ok(Response::new(GetInboundUsersCountResponse { count }))
    }

    async fn add_outbound(
        &self,
        request: Request<AddOutboundRequest>,
    ) -> Result<Response<AddOutboundResponse>, Status> {
        let added = request.into_inner().outbound;
        let added = added.ok_or_else(|| Status::invalid_argument("there is no outbound"))?;
        self.add(List::Outbounds, outbound::read(&added)?).await?;
        Ok(Response::new(AddOutboundResponse {}))
    }

    async fn remove_outbound(
        &self,
        request: Request<RemoveOutboundRequest>,
    ) -> Result<Response<RemoveOutboundResponse>, Status> {
        self.remove(List::Outbounds, request.into_inner().tag).await?;
        Ok(Response::new(RemoveOutboundResponse {}))
    }

    async fn list_outbounds(
        &self,
        _request: Request<ListOutboundsRequest>,
    ) -> Result<Response<ListOutboundsResponse>, Status> {
        let config = self.control.config();
        // Like Xray, it leaves out the one that stands for itself.
        let outbounds =
            config.outbounds.iter().filter(|outbound| !matches!(outbound.protocol, OutboundProtocol::Api));
        let outbounds = outbounds.map(list::outbound).collect();
        Ok(Response::new(ListOutboundsResponse { outbounds }))
    }
}
