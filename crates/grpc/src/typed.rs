//! Configurations of which only a name says what they are.

use prost::{
    Message,
    encoding::{DecodeContext, decode_key, skip_field},
};
use tonic::Status;

use crate::{
    family::{Family, split_type},
    messages::common::TypedMessage,
};

/// A configuration whose name is known to be one of V2Ray or Xray.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Typed<'m> {
    pub(crate) family: Family,
    /// Without the name of the program.
    pub(crate) name: &'m str,
    value: &'m [u8],
}

impl<'m> Typed<'m> {
    /// Looks at the name. `what` is for the message.
    pub(crate) fn of(message: Option<&'m TypedMessage>, what: &str) -> Result<Self, Status> {
        let message = message.ok_or_else(|| Status::invalid_argument(format!("there is no {what}")))?;
        let Some((family, name)) = split_type(&message.r#type) else {
            let message = format!("the type of the {what} is not known: `{}`", shown(&message.r#type));
            return Err(Status::invalid_argument(message));
        };
        Ok(Self { family, name, value: &message.value })
    }

    /// Reads the message, which may have no other fields than these: a setting that is not understood
    /// must not be dropped in silence.
    pub(crate) fn read<M: Message + Default>(&self, known: &[u32]) -> Result<M, Status> {
        read(self.value, known, self.name)
    }

    /// What is answered for a configuration that this program has nothing for.
    pub(crate) fn refuse(&self, what: &str) -> Status {
        let name = protocol(self.name).unwrap_or(self.name);
        Status::unimplemented(format!("the {what} `{}` is not available", shown(name)))
    }
}

/// `vmess` of `proxy.vmess.inbound.Config`.
fn protocol(name: &str) -> Option<&str> {
    name.strip_prefix("proxy.")?.split('.').next()
}

/// Reads a message that may have no other fields than these.
pub(crate) fn read<M: Message + Default>(value: &[u8], known: &[u32], what: &str) -> Result<M, Status> {
    let message = M::decode(value).map_err(|error| {
        Status::invalid_argument(format!("not a message of the type `{}`: {error}", shown(what)))
    })?;
    let mut rest = value;
    while !rest.is_empty() {
        let field = decode_key(&mut rest).and_then(|(number, wire_type)| {
            skip_field(wire_type, number, &mut rest, DecodeContext::default()).map(|()| number)
        });
        let number = field.map_err(|error| Status::invalid_argument(error.to_string()))?;
        if !known.contains(&number) {
            let message = format!("field {number} of `{}` is not available", shown(what));
            return Err(Status::unimplemented(message));
        }
    }
    Ok(message)
}

/// A text of a client, short enough for an answer.
pub(crate) fn shown(text: &str) -> &str {
    const MAX_CHARS: usize = 100;
    text.char_indices().nth(MAX_CHARS).map_or(text, |(end, _)| text.get(..end).unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::proxy::{Freedom, Loopback};

    #[test]
    fn a_field_that_is_not_understood_is_refused() {
        let loopback = Loopback { inbound_tag: "in".to_owned() };
        let value = loopback.encode_to_vec();
        assert_eq!(read::<Loopback>(&value, &[1], "x").unwrap(), loopback);
        let status = read::<Loopback>(&value, &[2], "proxy.loopback.Config").unwrap_err();
        assert_eq!(status.code(), tonic::Code::Unimplemented);
        assert_eq!(status.message(), "field 1 of `proxy.loopback.Config` is not available");
    }

    #[test]
    fn garbage_is_an_invalid_argument() {
        for value in [&b"\xff\xff\xff"[..], b"\x08", b"\x0a\x7f", b"\x0c"] {
            let status = read::<Freedom>(value, &[1, 2, 3, 4], "x").unwrap_err();
            assert_eq!(status.code(), tonic::Code::InvalidArgument, "{value:?}");
        }
    }

    #[test]
    fn the_name_of_a_protocol_is_told() {
        let message =
            TypedMessage { r#type: "v2ray.core.proxy.vmess.inbound.Config".to_owned(), value: Vec::new() };
        let status = Typed::of(Some(&message), "inbound").unwrap().refuse("inbound protocol");
        assert_eq!(status.message(), "the inbound protocol `vmess` is not available");
    }
}
