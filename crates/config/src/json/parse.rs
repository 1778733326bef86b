use super::{
    Kind, Member, Value,
    lex::{Lexer, Token},
    merge::merge,
};
use crate::{
    Span,
    report::{Report, quote},
};

/// How deep objects and arrays may be inside one another; a configuration needs about ten.
const MAX_DEPTH: usize = 128;

/// How many values all files together may have, because a value takes more memory than its text.
const MAX_VALUES: usize = 4_000_000;

/// After this many mistakes the file is probably not JSON at all.
const MAX_MISTAKES: usize = 20;

/// Reads every file of the report's source, and merges them. `None` means that at least one error
/// was reported; the tree of a text with mistakes is not given out, because what it says is a guess.
pub(crate) fn parse(report: &mut Report<'_>) -> Option<Value> {
    let source = report.source;
    let mut n_values = 0;
    let roots: Vec<Option<Value>> =
        source.files().map(|(_, file)| parse_file(file, &mut n_values, report)).collect();
    let roots: Option<Vec<Value>> = roots.into_iter().collect();
    merge(roots?, report)
}

fn parse_file(file: Span, n_values: &mut usize, report: &mut Report<'_>) -> Option<Value> {
    let mut parser = Parser {
        lexer: Lexer::new(report.source, file),
        peeked: None,
        mistakes: Vec::new(),
        last_end: file.start,
        n_values: *n_values,
    };
    let root = parser.document().ok();
    *n_values = parser.n_values;
    let (flaws, mistakes) = (std::mem::take(&mut parser.lexer.flaws), parser.mistakes);
    let clean = flaws.is_empty() && mistakes.is_empty();
    // What is odd behind a string or comment that is not closed is no news, nor what is odd before
    // it on the same line: the quote that is missing may be any of them.
    let fatal = flaws.iter().find(|flaw| flaw.fatal);
    let fatal = fatal.map_or(usize::MAX, |flaw| report.source.line_span(flaw.span.start).start);
    for flaw in flaws {
        report.error(flaw.span, flaw.message);
    }
    for mistake in mistakes.into_iter().filter(|mistake| mistake.span.start < fatal) {
        let line = mistake.opened.map(|opened| report.line(opened));
        report.error(mistake.span, mistake.message);
        if let Some(line) = line {
            report.help(format!("it was opened on line {line}"));
        }
    }
    root.filter(|_| clean)
}

/// Says that nothing can be read any more; the reason is in the list of mistakes.
struct Stop;

struct Mistake {
    span: Span,
    message: String,
    /// The place of the bracket that this is about.
    opened: Option<Span>,
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    peeked: Option<(Token, Span)>,
    mistakes: Vec<Mistake>,
    /// Where the last token that was taken ends.
    last_end: usize,
    n_values: usize,
}

impl Parser<'_> {
    fn document(&mut self) -> Result<Value, Stop> {
        let (first, span) = self.peek();
        if first == Token::End {
            return Err(self.stop(span, "the file is empty, expected an object".to_owned(), None));
        }
        let root = self.value(0)?;
        let (token, span) = self.take();
        if token != Token::End {
            return Err(self.stop(
                span,
                format!("expected the end of the file, found {}", describe(&token)),
                None,
            ));
        }
        Ok(root)
    }

    fn value(&mut self, depth: usize) -> Result<Value, Stop> {
        let (token, span) = self.take();
        self.n_values += 1;
        if self.n_values > MAX_VALUES {
            return Err(self.stop(span, format!("the file has more than {MAX_VALUES} values"), None));
        }
        let kind = match token {
            Token::Mark(b'{') => self.object(span, depth + 1)?,
            Token::Mark(b'[') => self.array(span, depth + 1)?,
            Token::String(text) => Kind::String(text),
            Token::Number(number) => Kind::Number(number),
            Token::Word(word) => match &*word {
                "true" => Kind::Bool(true),
                "false" => Kind::Bool(false),
                "null" => Kind::Null,
                other => {
                    self.mistake(span, format!("expected a value, found {}", quote(other)), None)?;
                    Kind::Null
                }
            },
            Token::Mark(_) | Token::End => {
                return Err(self.stop(span, format!("expected a value, found {}", describe(&token)), None));
            }
        };
        Ok(Value { kind, span: Span { start: span.start, end: self.last_end } })
    }

    fn object(&mut self, opened: Span, depth: usize) -> Result<Kind, Stop> {
        self.check_depth(opened, depth)?;
        let mut members = Vec::new();
        loop {
            let (token, span) = self.take();
            let key = match token {
                Token::Mark(b'}') => return Ok(Kind::Object(members)),
                Token::String(key) => key,
                Token::Word(word) => {
                    let message = format!("keys are written in double quotes, found {}", quote(&word));
                    self.mistake(span, message, None)?;
                    word
                }
                Token::Mark(b',') => {
                    self.mistake(span, "expected a key or `}`, found `,`".to_owned(), None)?;
                    continue;
                }
                Token::End => {
                    return Err(self.stop(span, "this object is not closed".to_owned(), Some(opened)));
                }
                Token::Mark(_) | Token::Number(_) => {
                    let message =
                        format!("expected a key in double quotes or `}}`, found {}", describe(&token));
                    return Err(self.stop(span, message, Some(opened)));
                }
            };
            let (colon, colon_span) = self.peek();
            if colon == Token::Mark(b':') {
                self.take();
            } else {
                let message = format!("expected `:` after the key, found {}", describe(&colon));
                self.mistake(colon_span, message, None)?;
            }
            let value = self.value(depth)?;
            members.push(Member { key, key_span: span, value });
            self.separator(b'}', opened)?;
        }
    }

    fn array(&mut self, opened: Span, depth: usize) -> Result<Kind, Stop> {
        self.check_depth(opened, depth)?;
        let mut items = Vec::new();
        loop {
            match self.peek() {
                (Token::Mark(b']'), _) => {
                    self.take();
                    return Ok(Kind::Array(items));
                }
                (Token::Mark(b','), span) => {
                    self.take();
                    self.mistake(span, "expected a value or `]`, found `,`".to_owned(), None)?;
                }
                (Token::End, _) => return Err(self.unclosed("array", opened)),
                (Token::Mark(_) | Token::String(_) | Token::Number(_) | Token::Word(_), _) => {
                    items.push(self.value(depth)?);
                    self.separator(b']', opened)?;
                }
            }
        }
    }

    /// Takes the comma behind an element. If there is none and the next token begins another
    /// element, the comma was forgotten.
    fn separator(&mut self, close: u8, opened: Span) -> Result<(), Stop> {
        let (token, span) = self.peek();
        let expected = format!("expected `,` or `{}`, found {}", char::from(close), describe(&token));
        match token {
            Token::Mark(b',') => {
                self.take();
                Ok(())
            }
            Token::Mark(mark) if mark == close => Ok(()),
            Token::End => Err(self.unclosed(if close == b'}' { "object" } else { "array" }, opened)),
            Token::String(_) | Token::Number(_) | Token::Word(_) | Token::Mark(b'{' | b'[') => {
                let behind = Span { start: self.last_end, end: self.last_end };
                self.mistake(behind, expected, None)
            }
            Token::Mark(_) => Err(self.stop(span, expected, Some(opened))),
        }
    }

    fn unclosed(&mut self, what: &str, opened: Span) -> Stop {
        let behind = Span { start: self.last_end, end: self.last_end };
        self.stop(behind, format!("this {what} is not closed"), Some(opened))
    }

    fn check_depth(&mut self, opened: Span, depth: usize) -> Result<(), Stop> {
        if depth > MAX_DEPTH {
            let message = format!("objects and arrays are nested more than {MAX_DEPTH} deep");
            return Err(self.stop(opened, message, None));
        }
        Ok(())
    }

    fn peek(&mut self) -> (Token, Span) {
        let lexer = &mut self.lexer;
        self.peeked.get_or_insert_with(|| lexer.next()).clone()
    }

    fn take(&mut self) -> (Token, Span) {
        let (token, span) = self.peeked.take().unwrap_or_else(|| self.lexer.next());
        if token != Token::End {
            self.last_end = span.end;
        }
        (token, span)
    }

    /// Notes a mistake after which reading goes on.
    fn mistake(&mut self, span: Span, message: String, opened: Option<Span>) -> Result<(), Stop> {
        self.mistakes.push(Mistake { span, message, opened });
        if self.mistakes.len() + self.lexer.flaws.len() >= MAX_MISTAKES { Err(Stop) } else { Ok(()) }
    }

    /// Notes a mistake after which reading makes no sense.
    fn stop(&mut self, span: Span, message: String, opened: Option<Span>) -> Stop {
        self.mistakes.push(Mistake { span, message, opened });
        Stop
    }
}

fn describe(token: &Token) -> String {
    match token {
        Token::Mark(mark) => format!("`{}`", char::from(*mark)),
        Token::String(text) => quote(&format!("\"{text}\"")),
        Token::Number(_) => "a number".to_owned(),
        Token::Word(word) => quote(word),
        Token::End => "the end of the file".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Source};

    fn read(text: &str) -> Result<Value, Vec<String>> {
        let source = Source::new("x", text).unwrap();
        let options = Options::default();
        let mut report = Report::new(&source, &options);
        let root = parse(&mut report);
        root.ok_or_else(|| report.finish().into_iter().map(|found| found.message).collect())
    }

    #[test]
    fn every_value_has_its_place() {
        let text = " {\"a\": [1, -2, 1.5, \"x\", null,], \"b\": {},}";
        let root = read(text).unwrap();
        assert_eq!(root.span, Span { start: 1, end: text.len() });
        let first = root.members().and_then(<[Member]>::first).unwrap();
        assert_eq!((&*first.key, first.key_span), ("a", Span { start: 2, end: 5 }));
        assert_eq!(
            text.get(first.value.span.start..first.value.span.end),
            Some("[1, -2, 1.5, \"x\", null,]")
        );
        let items = first.value.items().unwrap();
        let texts: Vec<_> =
            items.iter().filter_map(|item| text.get(item.span.start..item.span.end)).collect();
        assert_eq!(texts, ["1", "-2", "1.5", "\"x\"", "null"]);
    }

    #[test]
    fn arrays_may_be_as_deep_as_allowed() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(&nested(MAX_DEPTH)).is_ok());
        let message = "objects and arrays are nested more than 128 deep";
        assert_eq!(read(&nested(MAX_DEPTH + 1)), Err(vec![message.to_owned()]));
    }

    #[test]
    fn reading_goes_on_behind_a_forgotten_comma() {
        let comma = |close: char, found: &str| format!("expected `,` or `{close}`, found {found}");
        assert_eq!(
            read("[1 2, {\"a\": 1 \"b\": 2}]"),
            Err(vec![comma(']', "a number"), comma('}', "`\"b\"`")])
        );
    }

    #[test]
    fn too_many_mistakes_end_the_list() {
        assert_eq!(read(&"x, ".repeat(100)).map_err(|messages| messages.len()), Err(2));
        assert_eq!(
            read(&format!("[{}]", "x, ".repeat(100))).map_err(|messages| messages.len()),
            Err(MAX_MISTAKES)
        );
    }
}
