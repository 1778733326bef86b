// Made by `cargo xtask proto` from the files of `crates/grpc/proto`.
pub mod v2ray {
    pub mod core {
        pub mod app {
            pub mod log {
                pub mod command {
                    include!("v2ray.core.app.log.command.rs");
                    include!("v2ray.core.app.log.command.service.rs");
                }
            }
            pub mod observatory {
                pub mod command {
                    include!("v2ray.core.app.observatory.command.rs");
                    include!("v2ray.core.app.observatory.command.service.rs");
                }
            }
            pub mod proxyman {
                pub mod command {
                    include!("v2ray.core.app.proxyman.command.rs");
                    include!("v2ray.core.app.proxyman.command.service.rs");
                }
            }
            pub mod router {
                pub mod command {
                    include!("v2ray.core.app.router.command.rs");
                    include!("v2ray.core.app.router.command.service.rs");
                }
            }
            pub mod stats {
                pub mod command {
                    include!("v2ray.core.app.stats.command.rs");
                    include!("v2ray.core.app.stats.command.service.rs");
                }
            }
        }
    }
}
pub mod waypost {
    pub mod common {
        include!("waypost.common.rs");
    }
    pub mod proxy {
        include!("waypost.proxy.rs");
    }
    pub mod rules {
        include!("waypost.rules.rs");
    }
}
