//! Connecting to the first of several addresses that answers ("happy eyeballs", RFC 8305).

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep_until, timeout_at},
};

use waypost_config::model::SocketOptions;

use super::DialError;
use crate::socket;

/// When the next address is tried beside the one that has not answered (RFC 8305 §5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// A name with more addresses is served by any of them, or by none.
pub(super) const MAX_ADDRESSES: usize = 8;

/// The order to try addresses in: those in `prefer` as they come, then the others with the families
/// taking turns, the first one's first. Nothing twice, and not more than eight.
pub(super) fn order_addresses(prefer: &[IpAddr], addresses: &[IpAddr], port: u16) -> Vec<SocketAddr> {
    if let [address] = *addresses {
        return vec![SocketAddr::new(address, port)];
    }
    let (preferred, others): (Vec<IpAddr>, Vec<IpAddr>) =
        addresses.iter().partition(|address| prefer.contains(address));
    let first_is_v4 = others.first().is_some_and(IpAddr::is_ipv4);
    let (mut family, mut other_family): (VecDeque<IpAddr>, VecDeque<IpAddr>) =
        others.into_iter().partition(|address| address.is_ipv4() == first_is_v4);
    let turns = std::iter::from_fn(move || {
        let next = family.pop_front();
        std::mem::swap(&mut family, &mut other_family);
        next.or_else(|| family.pop_front())
    });
    let mut ordered = Vec::new();
    for address in preferred.into_iter().chain(turns).map(|ip| SocketAddr::new(ip, port)) {
        if !ordered.contains(&address) {
            ordered.push(address);
        }
    }
    ordered.truncate(MAX_ADDRESSES);
    ordered
}

/// Connects to the first of `addresses` that answers; of several failures the first is told.
pub(super) async fn connect(
    addresses: &[SocketAddr],
    options: &SocketOptions,
    deadline: Instant,
) -> Result<TcpStream, DialError> {
    match *addresses {
        [] => Err(DialError::NoAddress),
        [address] => match timeout_at(deadline, socket::connect(address, options)).await {
            Err(_elapsed) => Err(DialError::ConnectTimeout { address }),
            Ok(opened) => opened.map_err(|error| DialError::connect(address, &error)),
        },
        [first, ref others @ ..] => Box::pin(race(first, others, options, deadline)).await,
    }
}

async fn race(
    first: SocketAddr,
    others: &[SocketAddr],
    options: &SocketOptions,
    deadline: Instant,
) -> Result<TcpStream, DialError> {
    let mut left = others.iter().copied();
    let mut next = Some(first);
    let mut first_error = None;
    // Dropping the set ends the attempts that are still running.
    let mut attempts = JoinSet::new();
    loop {
        if let Some(address) = next.take() {
            let options = options.clone();
            attempts.spawn(async move { (address, socket::connect(address, &options).await) });
        }
        let next_attempt = Instant::now() + ATTEMPT_DELAY;
        tokio::select! {
            joined = attempts.join_next() => match joined {
                Some(Ok((_, Ok(stream)))) => return Ok(stream),
                Some(Ok((address, Err(error)))) => {
                    first_error.get_or_insert_with(|| DialError::connect(address, &error));
                    next = left.next();
                }
                Some(Err(_attempt_panicked)) => next = left.next(),
                None => {
                    return Err(first_error.unwrap_or(DialError::ConnectTimeout { address: first }));
                }
            },
            () = sleep_until(next_attempt), if left.len() > 0 => next = left.next(),
            () = sleep_until(deadline) => {
                return Err(DialError::ConnectTimeout { address: first });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(prefer: &[&str], addresses: &[&str], expected: &[&str]) {
        let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
        let ordered: Vec<IpAddr> =
            order_addresses(&parse(prefer), &parse(addresses), 1).iter().map(SocketAddr::ip).collect();
        assert_eq!(ordered, parse(expected));
    }

    #[test]
    fn families_take_turns() {
        check(&[], &["::1", "::2", "::3", "1.1.1.1"], &["::1", "1.1.1.1", "::2", "::3"]);
        check(&[], &["1.1.1.1", "::1", "1.1.1.2", "::2"], &["1.1.1.1", "::1", "1.1.1.2", "::2"]);
        check(&[], &["1.1.1.1", "1.1.1.2", "1.1.1.1"], &["1.1.1.1", "1.1.1.2"]);
        check(&[], &[], &[]);
    }

    #[test]
    fn the_address_that_was_routed_on_comes_first() {
        check(&["1.1.1.2"], &["::1", "1.1.1.1", "1.1.1.2"], &["1.1.1.2", "::1", "1.1.1.1"]);
        check(&["9.9.9.9"], &["::1"], &["::1"]);
    }

    #[test]
    fn not_more_than_eight_addresses_are_tried() {
        let many: Vec<IpAddr> = (0..20).map(|n| IpAddr::from([10, 0, 0, n])).collect();
        assert_eq!(order_addresses(&[], &many, 1).len(), MAX_ADDRESSES);
    }
}
