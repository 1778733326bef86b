//! Frames of WebSocket (RFC 6455 §5) within a stream of bytes.

/// The longest payload of a control frame (RFC 6455 §5.5).
const MAX_CONTROL_BYTES: usize = 125;
/// The longest header: two bytes, a length of eight and a mask of four.
const MAX_HEADER_BYTES: usize = 14;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bytes of the stream: a binary frame, a text frame or what continues one.
    Data,
    Close,
    Ping,
    Pong,
}

impl Kind {
    fn from_opcode(opcode: u8) -> Option<Self> {
        match opcode {
            0..=2 => Some(Self::Data),
            8 => Some(Self::Close),
            9 => Some(Self::Ping),
            10 => Some(Self::Pong),
            _ => None,
        }
    }

    fn opcode(self) -> u8 {
        match self {
            Self::Data => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }
}

/// Which side of a connection one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Sends masked frames.
    Client,
    /// Sends plain frames.
    Server,
}

/// Appends a whole frame.
pub(super) fn append_frame(kind: Kind, mask: Option<[u8; 4]>, payload: &[u8], out: &mut Vec<u8>) {
    out.reserve(MAX_HEADER_BYTES + payload.len());
    append_header(kind, mask, payload.len(), out);
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(mask) = mask {
        apply_mask(out.get_mut(start..).unwrap_or_default(), mask, 0);
    }
}

fn append_header(kind: Kind, mask: Option<[u8; 4]>, length: usize, out: &mut Vec<u8>) {
    out.push(FIN | kind.opcode());
    let masked = if mask.is_some() { MASKED } else { 0 };
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ 0..=125), _) => out.push(masked | length),
        (_, Ok(length)) => {
            out.push(masked | 126);
            out.extend_from_slice(&length.to_be_bytes());
        }
        (_, Err(_)) => {
            out.push(masked | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    if let Some(mask) = mask {
        out.extend_from_slice(&mask);
    }
}

/// Masks or unmasks bytes that are at `offset` in their payload (RFC 6455 §5.3).
pub(super) fn apply_mask(bytes: &mut [u8], mask: [u8; 4], offset: usize) {
    let mut rotated = mask;
    rotated.rotate_left(offset % 4);
    let [a, b, c, d] = rotated;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(rotated.iter().cycle()) {
        *byte ^= mask;
    }
}

/// What the reader has met among the frames.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Met {
    /// The payload of the last ping.
    pub(super) ping: Option<Vec<u8>>,
    /// The peer sends nothing more.
    pub(super) is_closed: bool,
    /// How the peer breaks the protocol. What follows is not looked at.
    pub(super) problem: Option<&'static str>,
}

/// Takes the payload out of frames that arrive in pieces.
#[derive(Debug)]
pub(super) struct FrameReader {
    role: Role,
    state: State,
}

#[derive(Debug)]
enum State {
    Header { bytes: [u8; MAX_HEADER_BYTES], length: usize },
    Payload { kind: Kind, left: u64, mask: Option<[u8; 4]>, offset: usize, control: Vec<u8> },
}

const START: State = State::Header { bytes: [0; MAX_HEADER_BYTES], length: 0 };

impl FrameReader {
    pub(super) fn new(role: Role) -> Self {
        Self { role, state: START }
    }

    /// Whether the last frame was whole.
    pub(super) fn is_between_frames(&self) -> bool {
        matches!(self.state, State::Header { length: 0, .. })
    }

    /// Moves the payload of what was read to the front of it; yields how long it is.
    ///
    /// `ends_at_close`: what stands behind a Close frame is discarded (RFC 6455 §1.4).
    pub(super) fn take_payload(&mut self, read: &mut [u8], ends_at_close: bool, met: &mut Met) -> usize {
        let (mut at, mut kept) = (0, 0);
        while at < read.len() && !(ends_at_close && met.is_closed) {
            match &mut self.state {
                State::Header { bytes, length } => {
                    let fresh = read.get(at..).unwrap_or_default();
                    let already = *length;
                    for (slot, byte) in bytes.iter_mut().skip(already).zip(fresh) {
                        *slot = *byte;
                        *length += 1;
                    }
                    let header = match Header::parse(bytes.get(..*length).unwrap_or_default(), self.role) {
                        Ok(Some(header)) => header,
                        Ok(None) => return kept,
                        Err(problem) => {
                            met.problem = Some(problem);
                            return kept;
                        }
                    };
                    at += header.length - already;
                    self.state = State::Payload {
                        kind: header.kind,
                        left: header.payload,
                        mask: header.mask,
                        offset: 0,
                        control: Vec::new(),
                    };
                }
                State::Payload { kind, left, mask, offset, control } => {
                    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(read.len() - at);
                    let piece = read.get_mut(at..at + here).unwrap_or_default();
                    if let Some(mask) = mask {
                        apply_mask(piece, *mask, *offset);
                    }
                    match kind {
                        Kind::Data if at == kept => kept += here,
                        Kind::Data => {
                            read.copy_within(at..at + here, kept);
                            kept += here;
                        }
                        Kind::Close | Kind::Ping | Kind::Pong => control.extend_from_slice(piece),
                    }
                    at += here;
                    *offset = (*offset + here) % 4;
                    *left -= here as u64;
                }
            }
            self.end_frame(met);
        }
        kept
    }

    /// Goes on to the next frame if all of this one is there; an empty one is so at once.
    fn end_frame(&mut self, met: &mut Met) {
        let State::Payload { kind, left: 0, control, .. } = &mut self.state else { return };
        match kind {
            Kind::Data | Kind::Pong => {}
            Kind::Close => met.is_closed = true,
            Kind::Ping => met.ping = Some(std::mem::take(control)),
        }
        self.state = START;
    }
}

struct Header {
    kind: Kind,
    payload: u64,
    mask: Option<[u8; 4]>,
    /// Of the header itself, in bytes.
    length: usize,
}

impl Header {
    /// `None`: there is more to come.
    fn parse(bytes: &[u8], role: Role) -> Result<Option<Self>, &'static str> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        if first & RESERVED != 0 {
            return Err("a frame uses an extension that was not agreed on");
        }
        let kind = Kind::from_opcode(first & 0x0f).ok_or("a frame of an unknown kind")?;
        let is_masked = second & MASKED != 0;
        match (role, is_masked) {
            (Role::Client, true) => return Err("a server sent a masked frame"),
            (Role::Server, false) => return Err("a client sent a frame without mask"),
            (Role::Client, false) | (Role::Server, true) => {}
        }
        let (payload, rest) = match second & !MASKED {
            126 => match rest.split_first_chunk() {
                Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk() {
                Some((length, rest)) => (u64::from_be_bytes(*length), rest),
                None => return Ok(None),
            },
            length => (u64::from(length), rest),
        };
        if kind != Kind::Data && (payload > MAX_CONTROL_BYTES as u64 || first & FIN == 0) {
            return Err("a control frame that is too long or in pieces");
        }
        if payload > i64::MAX as u64 {
            return Err("a frame with an impossible length");
        }
        let (mask, rest) = match (is_masked, rest.split_first_chunk()) {
            (false, _) => (None, rest),
            (true, Some((mask, rest))) => (Some(*mask), rest),
            (true, None) => return Ok(None),
        };
        Ok(Some(Self { kind, payload, mask, length: bytes.len() - rest.len() }))
    }
}
