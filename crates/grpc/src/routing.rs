//! `RoutingService`.

mod balancers;
pub(crate) mod context;
mod decisions;
pub(crate) mod entries;
mod rules;

use std::sync::Arc;

use prost::Message;
use tokio::sync::{Semaphore, broadcast};
use tonic::{Request, Response, Status};
use waypost_config::model::{RuleAction, RuleTarget};
use waypost_net::Tag;
use waypost_proxy::{Control, Role, SelectError, Strategy};

use self::{
    context::{Selection, flow_of},
    decisions::Decisions,
};
use crate::{
    change::{Changes, Edit, Entry, List},
    limits::{MAX_PUBLISHED_BYTES, MAX_SUBSCRIBERS, MAX_WAITING_DECISIONS},
    messages::router::{
        AddRuleRequest, AddRuleResponse, BalancerMsg, GetBalancerInfoRequest, GetBalancerInfoResponse,
        ListRuleItem, ListRuleRequest, ListRuleResponse, OverrideBalancerTargetRequest,
        OverrideBalancerTargetResponse, OverrideInfo, PrincipleTargetInfo, RemoveRuleRequest,
        RemoveRuleResponse, RoutingContext, SubscribeRoutingStatsRequest, TestRouteRequest,
        routing_service_server::RoutingService,
    },
    typed::{Typed, shown},
};

/// Asks, watches and changes rules.
#[derive(Debug)]
pub(crate) struct Routing {
    control: Control,
    changes: Changes,
    /// Answers of `TestRoute` that subscribers see as well.
    published: broadcast::Sender<RoutingContext>,
    subscribers: Arc<Semaphore>,
}

impl Routing {
    pub(crate) fn new(control: Control, changes: Changes) -> Self {
        Self {
            control,
            changes,
            published: broadcast::Sender::new(MAX_WAITING_DECISIONS),
            subscribers: Arc::new(Semaphore::new(MAX_SUBSCRIBERS)),
        }
    }
}

#[tonic::async_trait]
impl RoutingService for Routing {
    type SubscribeRoutingStatsStream = Decisions;

    async fn subscribe_routing_stats(
        &self,
        request: Request<SubscribeRoutingStatsRequest>,
    ) -> Result<Response<Decisions>, Status> {
        let selection = Selection::new(&request.into_inner().field_selectors);
        let permit = self.subscribers.clone().try_acquire_owned().map_err(|_full| {
            Status::resource_exhausted(format!("{MAX_SUBSCRIBERS} clients watch already"))
        })?;
        let decisions = Decisions::start(&self.control, self.published.subscribe(), (selection, permit));
        Ok(Response::new(decisions))
    }

    async fn test_route(
        &self,
        request: Request<TestRouteRequest>,
    ) -> Result<Response<RoutingContext>, Status> {
        let TestRouteRequest { routing_context, field_selectors, publish_result } = request.into_inner();
        let asked = routing_context.ok_or_else(|| Status::invalid_argument("there is no routing context"))?;
        let explained = self.control.explain(flow_of(&asked)?).await;
        if explained.rule.is_none() {
            // The code of an error that V2Ray gives none.
            return Err(Status::unknown("no rule matches, so that it is left to the default outbound"));
        }
        let planned = match &explained.outbounds {
            Ok(planned) => planned.first(),
            Err(refusal) => return Err(Status::failed_precondition(refusal.to_string())),
        };
        let planned = planned.ok_or_else(|| Status::failed_precondition("there is no outbound"))?;
        let answer = RoutingContext {
            outbound_group_tags: planned.chain.iter().map(ToString::to_string).collect(),
            outbound_tag: planned.tag.as_ref().map_or_else(String::new, ToString::to_string),
            ..asked
        };
        if publish_result {
            if answer.encoded_len() > MAX_PUBLISHED_BYTES {
                return Err(Status::invalid_argument("the routing context is too long to be published"));
            }
            // Without subscribers there is nobody to tell.
            let _n_subscribers = self.published.send(answer.clone());
        }
        Ok(Response::new(Selection::new(&field_selectors).of(answer)))
    }

    async fn get_balancer_info(
        &self,
        request: Request<GetBalancerInfoRequest>,
    ) -> Result<Response<GetBalancerInfoResponse>, Status> {
        let tag = request.into_inner().tag;
        let mut groups = self.control.groups().into_iter().filter(|group| group.tag.as_str() == tag);
        let group = groups.next().ok_or_else(|| no_balancer(&tag))?;
        let with_role = |is_wanted: fn(Role) -> bool| -> Vec<String> {
            let members = group.members.iter().filter(|member| member.role.is_some_and(is_wanted));
            members.map(|member| member.tag.to_string()).collect()
        };
        let forced = with_role(|role| role == Role::Selected);
        // Of a selector, somebody's choice is all there is.
        let is_overridden = group.strategy != Strategy::Selector;
        let principle = match &group.choice {
            Some(choice) if forced.is_empty() || !is_overridden => vec![choice.to_string()],
            Some(_) | None => with_role(serves),
        };
        let forced = forced.into_iter().next().filter(|_| is_overridden).unwrap_or_default();
        let balancer = BalancerMsg {
            r#override: Some(OverrideInfo { target: forced }),
            principle_target: Some(PrincipleTargetInfo { tag: principle }),
        };
        Ok(Response::new(GetBalancerInfoResponse { balancer: Some(balancer) }))
    }

    async fn override_balancer_target(
        &self,
        request: Request<OverrideBalancerTargetRequest>,
    ) -> Result<Response<OverrideBalancerTargetResponse>, Status> {
        let OverrideBalancerTargetRequest { balancer_tag, target } = request.into_inner();
        let chosen = if target.is_empty() {
            self.control.unselect(&balancer_tag).await
        } else {
            self.control.select(&balancer_tag, &target).await
        };
        chosen.map_err(|error| {
            if error == SelectError::UnknownGroup {
                return no_balancer(&balancer_tag);
            }
            Status::failed_precondition(error.to_string())
        })?;
        Ok(Response::new(OverrideBalancerTargetResponse {}))
    }

    async fn add_rule(&self, request: Request<AddRuleRequest>) -> Result<Response<AddRuleResponse>, Status> {
        let AddRuleRequest { config, should_append } = request.into_inner();
        let added = rules::read(&Typed::of(config.as_ref(), "configuration of the router")?)?;
        self.changes
            .apply(move |config, file| {
                let known = config.routing.rules.iter().filter_map(|rule| rule.tag.as_ref());
                let known: Vec<&str> = known.filter(|_| should_append).map(Tag::as_str).collect();
                rules::check_tags(&known, &added.rules)?;
                for (list, added) in [(List::Rules, added.rules), (List::Balancers, added.balancers)] {
                    let added = added.iter().map(Entry::try_new).collect::<Result<Vec<_>, _>>()?;
                    file.edit(list, |entries| {
                        if !should_append {
                            entries.clear();
                        }
                        entries.extend(added);
                        Ok(())
                    })?;
                }
                Ok(Edit::Done)
            })
            .await?;
        Ok(Response::new(AddRuleResponse {}))
    }

    async fn remove_rule(
        &self,
        request: Request<RemoveRuleRequest>,
    ) -> Result<Response<RemoveRuleResponse>, Status> {
        let tag = request.into_inner().rule_tag;
        if tag.is_empty() {
            return Err(Status::invalid_argument("the tag of a rule is empty"));
        }
        self.changes
            .apply(move |_, file| {
                file.edit(List::Rules, |rules| {
                    let before = rules.len();
                    rules.retain(|rule| !rule.says("ruleTag", &tag));
                    Ok(if rules.len() < before { Edit::Done } else { Edit::Nothing })
                })
            })
            .await?;
        Ok(Response::new(RemoveRuleResponse {}))
    }

    async fn list_rule(
        &self,
        _request: Request<ListRuleRequest>,
    ) -> Result<Response<ListRuleResponse>, Status> {
        let config = self.control.config();
        let item = |rule: &waypost_config::model::Rule| {
            let tag = match &rule.action {
                RuleAction::Route {
                    target: RuleTarget::Outbound(tag) | RuleTarget::Balancer(tag), ..
                } => tag.value.to_string(),
                RuleAction::Reject(_)
                | RuleAction::HijackDns
                | RuleAction::RouteOptions(_)
                | RuleAction::Sniff(_)
                | RuleAction::Resolve(_) => String::new(),
            };
            ListRuleItem { tag, rule_tag: rule.tag.as_ref().map_or_else(String::new, ToString::to_string) }
        };
        let rules = config.routing.rules.iter().map(item).collect();
        Ok(Response::new(ListRuleResponse { rules }))
    }
}

/// Whether connections are given to a member whose turn it is.
fn serves(role: Role) -> bool {
    match role {
        Role::Selected | Role::Candidate | Role::LastGood | Role::Anybody | Role::Fallback => true,
        Role::OutsideTopN | Role::Suspect | Role::Ejected | Role::Down => false,
    }
}

fn no_balancer(tag: &str) -> Status {
    Status::not_found(format!("there is no balancer `{}`", shown(tag)))
}
