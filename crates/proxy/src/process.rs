//! Which program of this machine opened a connection, from Linux' `/proc` (proc(5)).

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::MetadataExt,
    path::PathBuf,
};

use waypost_net::canonical_ip;
use waypost_router::Process;

/// The program at `source` that is connected to `local`, and whose it is; `None` if it is on another
/// machine or has ended. Of a program of somebody else that may not be looked at only the user is known.
/// Blocks for some milliseconds.
pub(crate) fn find_process(source: SocketAddr, local: SocketAddr) -> Option<Process> {
    let socket = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
        let text = fs::read_to_string(table).ok()?;
        find_socket(&text, source, local)
    })?;
    let path = owner(socket.inode).and_then(|path| Some(path.to_str()?.into()));
    let user = fs::read_to_string("/etc/passwd").ok().and_then(|users| user_name(&users, socket.user_id));
    Some(Process { path, user, user_id: Some(socket.user_id) })
}

/// The executable of the program that has a socket open.
fn owner(inode: u64) -> Option<PathBuf> {
    let processes = fs::read_dir("/proc").ok()?.flatten().filter(|entry| {
        entry.file_name().to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
    });
    for process in processes {
        let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else { continue };
        // Following the link tells the inode of the socket without parsing its text.
        let owns = descriptors
            .flatten()
            .any(|descriptor| fs::metadata(descriptor.path()).is_ok_and(|metadata| metadata.ino() == inode));
        if owns {
            return fs::read_link(process.path().join("exe")).ok();
        }
    }
    None
}

/// The name of a user, by the lines of `/etc/passwd` (passwd(5)).
fn user_name(users: &str, id: u32) -> Option<Box<str>> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.into())
    })
}

/// A line of the table of sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Socket {
    user_id: u32,
    inode: u64,
}

/// Finds the socket whose own address is `source` and whose peer is `local`.
fn find_socket(table: &str, source: SocketAddr, local: SocketAddr) -> Option<Socket> {
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace();
        let own = address(fields.nth(1)?)?;
        let peer = address(fields.next()?)?;
        if own != canonical(source) || peer != canonical(local) {
            return None;
        }
        let user_id = fields.nth(4)?.parse().ok()?;
        let inode = fields.nth(1)?.parse().ok().filter(|&inode| inode != 0)?;
        Some(Socket { user_id, inode })
    })
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(canonical_ip(address.ip()), address.port())
}

/// Reads `0100007F:1F90`: words of 32 bits in the byte order of this machine, then the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(ip.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut octets = [0; 16];
            for (index, chunk) in octets.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(index * 8)?);
            }
            IpAddr::V6(Ipv6Addr::from(octets))
        }
        _ => return None,
    };
    Some(canonical(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?)))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn this_very_test_is_found_as_the_client() {
        for listen in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(listen).unwrap();
            let local = listener.local_addr().unwrap();
            let client = TcpStream::connect(local).unwrap();
            let (_accepted, source) = listener.accept().unwrap();
            let process = find_process(source, local).expect("the client is this process");
            assert_eq!(process.path.as_deref(), std::env::current_exe().unwrap().to_str());
            let own = fs::metadata("/proc/self").unwrap().uid();
            assert_eq!(process.user_id, Some(own));
            assert!(own != 0 || process.user.as_deref() == Some("root"), "{process:?}");
            drop(client);
        }
    }

    #[test]
    fn a_client_of_another_machine_is_unknown() {
        let elsewhere = "192.0.2.1:5".parse().unwrap();
        assert_eq!(find_process(elsewhere, "192.0.2.2:6".parse().unwrap()), None);
    }

    #[test]
    fn users_have_the_names_of_the_file() {
        let users = "root:x:0:0:root:/root:/bin/sh\nbroken\nalice:x:1000:1000::/home/alice:/bin/sh\n";
        assert_eq!(user_name(users, 1000).as_deref(), Some("alice"));
        assert_eq!(user_name(users, 0).as_deref(), Some("root"));
        assert_eq!(user_name(users, 7), None);
    }

    #[test]
    fn addresses_of_the_table_are_read() {
        if cfg!(target_endian = "little") {
            assert_eq!(address("0100007F:1F90"), "127.0.0.1:8080".parse().ok());
            assert_eq!(address("0000000000000000FFFF00000100007F:0050"), "127.0.0.1:80".parse().ok());
            assert_eq!(address("00000000000000000000000001000000:0050"), "[::1]:80".parse().ok());
        }
        for bad in ["", "0100007F", "xx00007F:1F90", "0100007F:10000"] {
            assert_eq!(address(bad), None, "{bad}");
        }
    }
}
