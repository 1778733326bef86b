//! The items of a rule by number, and what source files call them.

/// Declares the items with their numbers and the words of source files.
macro_rules! items {
    ($($(#[$meta:meta])* $name:ident = $number:literal $word:literal,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Item {
            $($(#[$meta])* $name,)*
        }

        impl Item {
            pub(super) const fn number(self) -> u8 {
                match self {
                    $(Self::$name => $number,)*
                }
            }

            pub(super) const fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }

            pub(super) const fn of_number(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

items! {
    QueryType = 0 "query_type",
    Network = 1 "network",
    Domain = 2 "domain",
    DomainKeyword = 3 "domain_keyword",
    DomainRegex = 4 "domain_regex",
    SourceIp = 5 "source_ip_cidr",
    Ip = 6 "ip_cidr",
    SourcePort = 7 "source_port",
    SourcePortRange = 8 "source_port_range",
    Port = 9 "port",
    PortRange = 10 "port_range",
    ProcessName = 11 "process_name",
    ProcessPath = 12 "process_path",
    PackageName = 13 "package_name",
    WifiSsid = 14 "wifi_ssid",
    WifiBssid = 15 "wifi_bssid",
    AdGuard = 16 "AdGuard rules",
    ProcessPathRegex = 17 "process_path_regex",
    NetworkType = 18 "network_type",
    NetworkIsExpensive = 19 "network_is_expensive",
    NetworkIsConstrained = 20 "network_is_constrained",
    NetworkInterfaceAddress = 21 "network_interface_address",
    DefaultInterfaceAddress = 22 "default_interface_address",
    PackageNameRegex = 23 "package_name_regex",
}

/// The byte behind the last item of a rule.
pub(super) const END: u8 = 0xFF;
/// A rule with conditions, and one that joins others.
pub(super) const DEFAULT: u8 = 0;
pub(super) const LOGICAL: u8 = 1;
/// Ends a reversed name that stands for itself and every name below it.
pub(super) const ROOT_LABEL: u8 = b'\n';
/// Ends a reversed name that stands for every name that begins like this.
pub(super) const ANY_LABEL: u8 = b'\r';
/// Begins a reversed AdGuard rule that does not have to end there.
pub(super) const OPEN_LABEL: u8 = 8;
