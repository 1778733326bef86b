//! What is wrong with a file although each part of it is right, or probably not meant; the same for
//! every dialect.

mod detours;
mod inbounds;
mod protection;
mod rules;
mod shadowed;

pub(crate) use detours::check_detours;
pub(crate) use inbounds::{find_port_conflicts, find_udp_port_conflicts};
pub(crate) use protection::{warn_of_open_inbound, warn_of_open_outbound};
pub(crate) use rules::{find_unreachable, find_unused, has_no_condition};
