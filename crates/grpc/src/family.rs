//! The two programs whose names are understood.

/// V2Ray or Xray, where a message has other numbers or another meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    V2ray,
    Xray,
}

/// Where the names of services begin. Xray's observatory is the exception.
const SERVICES: [(&str, &str); 2] =
    [("/xray.core.app.observatory.", "/v2ray.core.app.observatory."), ("/xray.app.", "/v2ray.core.app.")];

/// Where the names of types begin; the longer one first.
const TYPES: [(&str, Family); 3] =
    [("v2ray.core.", Family::V2ray), ("xray.core.", Family::Xray), ("xray.", Family::Xray)];

/// The path of a method under the name of V2Ray, if it has that of Xray. The messages of both have the
/// same numbers, so that one implementation serves both.
pub(crate) fn path_of_v2ray(path: &str) -> Option<String> {
    SERVICES.iter().find_map(|(xray, v2ray)| Some(format!("{v2ray}{}", path.strip_prefix(xray)?)))
}

/// Whose a type is, and its name without that. V2Ray 5 puts the name behind the address of a registry.
pub(crate) fn split_type(name: &str) -> Option<(Family, &str)> {
    let name = name.rsplit_once('/').map_or(name, |(_, name)| name);
    TYPES.iter().find_map(|(prefix, family)| Some((*family, name.strip_prefix(prefix)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_of_xray_are_those_of_v2ray() {
        let of = |path| path_of_v2ray(path).unwrap_or_default();
        assert_eq!(
            of("/xray.app.stats.command.StatsService/GetStats"),
            "/v2ray.core.app.stats.command.StatsService/GetStats"
        );
        assert_eq!(
            of("/xray.core.app.observatory.command.ObservatoryService/GetOutboundStatus"),
            "/v2ray.core.app.observatory.command.ObservatoryService/GetOutboundStatus"
        );
        assert_eq!(path_of_v2ray("/v2ray.core.app.stats.command.StatsService/GetStats"), None);
    }

    #[test]
    fn types_are_known_by_both_names() {
        assert_eq!(
            split_type("v2ray.core.proxy.socks.Account"),
            Some((Family::V2ray, "proxy.socks.Account"))
        );
        assert_eq!(
            split_type("types.v2fly.org/v2ray.core.proxy.socks.Account"),
            Some((Family::V2ray, "proxy.socks.Account"))
        );
        assert_eq!(split_type("xray.proxy.socks.Account"), Some((Family::Xray, "proxy.socks.Account")));
        assert_eq!(split_type("google.protobuf.Any"), None);
    }
}
