//! What endpoints are described with, and what several of them share.

/// An operation on a path.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) id: &'static str,
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) summary: &'static str,
    pub(super) parameters: &'static [Parameter],
    pub(super) body: Option<Body>,
    /// Besides those that every endpoint has.
    pub(super) answers: &'static [Answer],
    pub(super) needs_secret: bool,
    /// Whether the answer has no end.
    pub(super) is_stream: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
}

#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) place: Place,
    pub(super) is_required: bool,
    pub(super) form: Form,
    pub(super) text: &'static str,
}

#[derive(Debug)]
pub(super) enum Form {
    Text,
    OneOf(&'static [&'static str]),
    Number { least: u32, most: u32 },
    AtLeast(u32),
}

#[derive(Debug)]
pub(super) struct Body {
    pub(super) schema: &'static str,
    pub(super) is_required: bool,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) code: u16,
    pub(super) text: &'static str,
    pub(super) content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    Nothing,
    /// By the name of its schema.
    Json(&'static str),
    /// By its type.
    Other(&'static str),
}

pub(super) const MESSAGE: Content = Content::Json("Message");

pub(super) const UNAUTHORIZED: Answer =
    Answer { code: 401, text: "The secret is missing or wrong.", content: MESSAGE };
pub(super) const FORBIDDEN: Answer = Answer {
    code: 403,
    text: "The interface was called by a name that is not its own, or by a page that may not.",
    content: MESSAGE,
};
pub(super) const TOO_SLOW: Answer =
    Answer { code: 408, text: "The body did not come in time.", content: MESSAGE };
pub(super) const TOO_LARGE: Answer =
    Answer { code: 413, text: "The body is larger than 1 MiB.", content: MESSAGE };

pub(super) const BAD: Answer =
    Answer { code: 400, text: "What was given is not understood.", content: MESSAGE };
pub(super) const NOT_FOUND: Answer = Answer { code: 404, text: "Nothing is called so.", content: MESSAGE };
pub(super) const FAILED: Answer = Answer { code: 503, text: "The request failed.", content: MESSAGE };
pub(super) const TOO_LATE: Answer =
    Answer { code: 504, text: "There was no answer in time.", content: MESSAGE };

pub(super) const NAME: Parameter = Parameter {
    name: "name",
    place: Place::Path,
    is_required: true,
    form: Form::Text,
    text: "The tag of an outbound or group.",
};
pub(super) const GROUP: Parameter = Parameter {
    name: "name",
    place: Place::Path,
    is_required: true,
    form: Form::Text,
    text: "The tag of a group.",
};
pub(super) const PROVIDER: Parameter = Parameter {
    name: "provider",
    place: Place::Path,
    is_required: true,
    form: Form::Text,
    text: "The only one is `default`.",
};
pub(super) const URL: Parameter = Parameter {
    name: "url",
    place: Place::Query,
    is_required: false,
    form: Form::Text,
    text: "What is asked for: an http or https URL. Without it `https://www.gstatic.com/generate_204`, or what the group asks for itself.",
};
pub(super) const TIMEOUT: Parameter = Parameter {
    name: "timeout",
    place: Place::Query,
    is_required: true,
    form: Form::Number { least: 1, most: 32_767 },
    text: "How many milliseconds may pass.",
};
pub(super) const GROUP_TIMEOUT: Parameter = Parameter {
    name: "timeout",
    place: Place::Query,
    is_required: true,
    form: Form::Number { least: 1, most: 2_147_483_647 },
    text: "How many milliseconds may pass for each member; more than 32767 counts as that.",
};
pub(super) const EXPECTED: Parameter = Parameter {
    name: "expected",
    place: Place::Query,
    is_required: false,
    form: Form::Text,
    text: "The status codes that will do, such as `200-299` or `200/204`; any without it.",
};
pub(super) const INTERVAL: Parameter = Parameter {
    name: "interval",
    place: Place::Query,
    is_required: false,
    form: Form::AtLeast(1),
    text: "Milliseconds between two frames; less than 100 counts as 100, more than an hour as an hour. Only for a stream.",
};
