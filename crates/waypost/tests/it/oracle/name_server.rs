//! The name server that V2Ray asks for names that `dns.hosts` does not have.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use tokio::{net::UdpSocket, task::JoinSet};

const A: u16 = 1;
const AAAA: u16 = 28;

/// Answers for the names that it knows; there are no others.
#[derive(Debug)]
pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    _task: JoinSet<()>,
}

impl NameServer {
    pub(crate) async fn start(names: BTreeMap<String, Vec<IpAddr>>) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut query = vec![0; 2048];
            while let Ok((length, from)) = socket.recv_from(&mut query).await {
                if let Some(answer) = query.get(..length).and_then(|query| answer(query, &names)) {
                    let _gone = socket.send_to(&answer, from).await;
                }
            }
        });
        Self { address, _task: task }
    }
}

/// The answer to a query with one question (RFC 1035 §4.1).
fn answer(query: &[u8], names: &BTreeMap<String, Vec<IpAddr>>) -> Option<Vec<u8>> {
    let mut at = 12;
    let mut labels: Vec<String> = Vec::new();
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(query.get(at..at + length)?).to_lowercase());
        at += length;
    }
    let question_end = at + 4;
    let kind = u16::from_be_bytes(query.get(at..at + 2)?.try_into().ok()?);
    let known = names.get(&labels.join("."));
    let records: Vec<Vec<u8>> = known
        .into_iter()
        .flatten()
        .filter_map(|address| match (address, kind) {
            (IpAddr::V4(address), A) => Some(address.octets().to_vec()),
            (IpAddr::V6(address), AAAA) => Some(address.octets().to_vec()),
            (_, _) => None,
        })
        .collect();
    let mut answer = query.get(..2)?.to_vec();
    // A response, recursion wanted and available; no error, or no such name.
    answer.extend([0x81, if known.is_some() { 0x80 } else { 0x83 }, 0, 1, 0]);
    answer.push(u8::try_from(records.len()).ok()?);
    answer.extend([0, 0, 0, 0]);
    answer.extend_from_slice(query.get(12..question_end)?);
    for record in &records {
        let [high, low] = kind.to_be_bytes();
        // The name of the question, class IN, ten minutes.
        answer.extend([0xc0, 12, high, low, 0, 1, 0, 0, 2, 0x58, 0]);
        answer.push(u8::try_from(record.len()).ok()?);
        answer.extend_from_slice(record);
    }
    Some(answer)
}
