use waypost_config::model::ApiService;

/// The services that are offered (`api.services`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GrpcServices {
    /// `RoutingService`: asks, watches and changes rules.
    pub routing: bool,
    /// `StatsService`: reads counters.
    pub stats: bool,
    /// `HandlerService`: adds and removes inbounds and outbounds.
    pub handler: bool,
    /// `LoggerService`: opens log files again.
    pub logger: bool,
    /// `ObservatoryService`: what probes have found out.
    pub observatory: bool,
    /// `ReflectionService`: tells clients what there is.
    pub reflection: bool,
}

impl GrpcServices {
    /// Reads names as V2Ray does: in any letter case, and names that it does not know mean nothing.
    pub fn from_names<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        names.into_iter().filter_map(ApiService::named).collect()
    }
}

impl FromIterator<ApiService> for GrpcServices {
    fn from_iter<I: IntoIterator<Item = ApiService>>(services: I) -> Self {
        let mut offered = Self::default();
        for service in services {
            match service {
                ApiService::Routing => offered.routing = true,
                ApiService::Stats => offered.stats = true,
                ApiService::Handler => offered.handler = true,
                ApiService::Logger => offered.logger = true,
                ApiService::Observatory => offered.observatory = true,
                ApiService::Reflection => offered.reflection = true,
            }
        }
        offered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_any_letter_case() {
        let services = GrpcServices::from_names(["STATSSERVICE", "routingService", "NoService", ""]);
        assert_eq!(services, GrpcServices { routing: true, stats: true, ..GrpcServices::default() });
    }
}
