//! The request's fields as parameters: in a query by their proto names, or the same as the members of a JSON object.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use percent_encoding::percent_decode;
use prost_types::Timestamp;
use serde_json::{Map, Value};

use super::{error::Refused, json};
use crate::{
    limits::{CURSOR_TEXT_BYTES_MAX, POLL_WAIT_MAX},
    proto::v1,
};

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters {
    /// The fields of the protocol's request; `cursor` is one more element of `resume`.
    pub request: v1::LogRequest,
    /// How long to wait for the first entry.
    pub wait: Option<Duration>,
    /// Whether to go on with what is written later.
    pub follow: Option<bool>,
}

/// Reads one parameter after the other.
#[derive(Default)]
struct Reader {
    read: Parameters,
    /// Names of the parameters that may come once and have.
    seen: Vec<String>,
}

impl Parameters {
    /// Reads the query of a URL.
    ///
    /// # Errors
    /// Names the parameter that is unknown or malformed; 413 when the cursors are too long for a URL.
    pub fn of_query(query: &str) -> Result<Self, Refused> {
        let mut reader = Reader::default();
        let mut cursor_bytes = 0;
        for (name, value) in pairs(query)? {
            if matches!(name.as_str(), "cursor" | "resume" | "end") {
                cursor_bytes += value.len();
            }
            reader.take(&name, &value)?;
        }
        if cursor_bytes > CURSOR_TEXT_BYTES_MAX {
            return Err(Refused::too_large(format!(
                "the cursors have {cursor_bytes} bytes, and a URL may have {CURSOR_TEXT_BYTES_MAX} of them: send the \
                 same parameters as a JSON body with POST"
            )));
        }
        Ok(reader.read)
    }

    /// Reads the body of a POST: a JSON object, or nothing.
    ///
    /// # Errors
    /// Names the parameter that is unknown or malformed.
    pub fn of_json(body: &[u8]) -> Result<Self, Refused> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        let members: Map<String, Value> = serde_json::from_slice(body)
            .map_err(|error| Refused::invalid("body", format!("not a JSON object: {error}")))?;
        let mut reader = Reader::default();
        for (name, value) in &members {
            reader.take_json(name, value)?;
        }
        Ok(reader.read)
    }
}

/// Reads the query of a URL that asks for sources.
///
/// # Errors
/// Names the parameter that is unknown or malformed.
pub fn sources_of_query(query: &str) -> Result<v1::ListSourcesRequest, Refused> {
    let mut request = v1::ListSourcesRequest::default();
    for (name, value) in pairs(query)? {
        match name.as_str() {
            "sources" => request.sources.push(value),
            "page_size" => request.page_size = number(&name, &value)?,
            "page_token" => request.page_token = value,
            _ => return Err(Refused::invalid(name, "there is no such parameter")),
        }
    }
    Ok(request)
}

impl Reader {
    fn take(&mut self, name: &str, value: &str) -> Result<(), Refused> {
        let request = &mut self.read.request;
        let text = value.to_owned();
        match name {
            "sources" => request.sources.push(text),
            "paths" => request.paths.push(text),
            "include" => request.include.push(text),
            "exclude" => request.exclude.push(text),
            "cursor" | "resume" => {
                let name = if name == "resume" { format!("resume[{}]", request.resume.len()) } else { name.to_owned() };
                request.resume.push(cursor(&name, value)?);
            }
            "where" => {
                let pair = value.split_once('=').ok_or_else(|| Refused::invalid(name, "it has to be key=value"))?;
                self.take_where(pair.0, pair.1)?;
            }
            _ => {
                if self.seen.iter().any(|seen| seen == name) {
                    return Err(Refused::invalid(name, "it may be given once"));
                }
                self.take_single(name, value)?;
                self.seen.push(name.to_owned());
            }
        }
        Ok(())
    }

    /// Takes a parameter that may be given once.
    fn take_single(&mut self, name: &str, value: &str) -> Result<(), Refused> {
        let request = &mut self.read.request;
        match name {
            "level" => request.level = value.to_owned(),
            "tail" => request.tail = Some(number(name, value)?),
            "since" => request.since = Some(time(name, value)?),
            "until" => request.until = Some(time(name, value)?),
            "limit" => request.limit = number(name, value)?,
            "with_fields" => request.with_fields = switch(name, value)?,
            "context_before" => request.context_before = number(name, value)?,
            "context_after" => request.context_after = number(name, value)?,
            "end" => request.end = cursor(name, value)?,
            "wait" => self.read.wait = Some(wait(name, value)?),
            "follow" => self.read.follow = Some(switch(name, value)?),
            _ => return Err(Refused::invalid(name, "there is no such parameter")),
        }
        Ok(())
    }

    fn take_where(&mut self, key: &str, value: &str) -> Result<(), Refused> {
        let before = self.read.request.r#where.insert(key.to_owned(), value.to_owned());
        if before.is_some_and(|before| before != value) {
            return Err(Refused::invalid("where", format!("{key:?} cannot have two values")));
        }
        Ok(())
    }

    fn take_json(&mut self, name: &str, value: &Value) -> Result<(), Refused> {
        let repeats = matches!(name, "sources" | "paths" | "include" | "exclude" | "cursor" | "resume" | "where");
        match value {
            // As in ProtoJSON: what is null is not set.
            Value::Null => Ok(()),
            Value::String(text) => self.take(name, text),
            Value::Number(number) => self.take(name, &number.to_string()),
            Value::Bool(value) => self.take(name, if *value { "true" } else { "false" }),
            Value::Array(values) if repeats => values.iter().try_for_each(|value| match value {
                Value::String(text) => self.take(name, text),
                _ => Err(Refused::invalid(name, "its elements have to be strings")),
            }),
            Value::Object(pairs) if name == "where" => pairs.iter().try_for_each(|(key, value)| match value {
                Value::String(text) => self.take_where(key, text),
                _ => Err(Refused::invalid(name, format!("the value of {key:?} has to be a string"))),
            }),
            Value::Array(_) | Value::Object(_) => {
                // An unknown name is the better reason to give.
                self.take(name, "")?;
                Err(Refused::invalid(name, "it has to be a single value"))
            }
        }
    }
}

/// The names and values of a query, decoded. Unlike a form's they have to be UTF-8: a pattern that was changed on its
/// way would select something else without a word.
fn pairs(query: &str) -> Result<Vec<(String, String)>, Refused> {
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        let decoded = percent_decode(spaced.as_bytes()).decode_utf8();
        decoded.map(String::from).map_err(|_| Refused::invalid(text, "it is not UTF-8"))
    };
    let given = query.split('&').filter(|pair| !pair.is_empty());
    given
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

fn number<N: std::str::FromStr>(name: &str, text: &str) -> Result<N, Refused> {
    // Rust would take a sign, too.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    number.ok_or_else(|| Refused::invalid(name, format!("{text:?} is no number, or too large a one")))
}

fn switch(name: &str, text: &str) -> Result<bool, Refused> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Refused::invalid(name, format!("{text:?} is neither true nor false"))),
    }
}

fn cursor(name: &str, text: &str) -> Result<prost::bytes::Bytes, Refused> {
    json::from_base64(text).map(Into::into).map_err(|why| Refused::invalid(name, why))
}

/// A time in RFC 3339, or how long ago it was: `15m`.
fn time(name: &str, text: &str) -> Result<Timestamp, Refused> {
    if let Some(ago) = duration(text) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let since = now.saturating_sub(ago);
        return Ok(Timestamp { seconds: since.as_secs() as i64, nanos: since.subsec_nanos() as i32 });
    }
    // In a query the `+` of a zone has become a space.
    let zoned = text.rsplit_once(' ').map(|(before, zone)| format!("{before}+{zone}"));
    let parsed = text.parse().ok().or_else(|| zoned?.parse::<jiff::Timestamp>().ok());
    let time = parsed
        .ok_or_else(|| Refused::invalid(name, format!("{text:?} is neither RFC 3339 nor how long ago, like 15m")))?;
    let (seconds, nanos) = (time.as_second(), time.subsec_nanosecond());
    // Protobuf counts the fraction forward from the second before.
    Ok(if nanos < 0 {
        Timestamp { seconds: seconds - 1, nanos: nanos + 1_000_000_000 }
    } else {
        Timestamp { seconds, nanos }
    })
}

fn wait(name: &str, text: &str) -> Result<Duration, Refused> {
    let wait = duration(text)
        .or_else(|| seconds(text))
        .ok_or_else(|| Refused::invalid(name, format!("{text:?} is no time to wait, like 30s")))?;
    if wait > POLL_WAIT_MAX {
        return Err(Refused::invalid(name, format!("more than the {} s allowed", POLL_WAIT_MAX.as_secs())));
    }
    Ok(wait)
}

/// `30`, `0.5` or `1.5s`.
fn seconds(text: &str) -> Option<Duration> {
    let number = text.strip_suffix('s').unwrap_or(text);
    // Rust would take a sign and an exponent, too.
    let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    Duration::try_from_secs_f64(number.parse().ok()?).ok().filter(|_| plain)
}

/// `300ms`, `30s`, `15m`, `2h`, `7d` or `1w`.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at(digits);
    let count: u64 = count.parse().ok()?;
    let seconds = match unit {
        "ms" => return Some(Duration::from_millis(count)),
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    count.checked_mul(seconds).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(read: Result<Parameters, Refused>) -> String {
        read.expect_err("refused").message().to_owned()
    }

    #[test]
    fn a_query_and_a_body_say_the_same() {
        let query = "level=warn&sources=a&sources=b*&paths=%2Fvar%2Flog%2F*&tail=18446744073709551615&limit=5\
            &include=a%2Bb+c&exclude=x&where=k%3D%3Dv&where=host=a&with_fields=true&context_before=1&context_after=2\
            &cursor=-_8&resume=%2B/8%3D&end=AQ&wait=1500ms&follow=true&since=2026-01-02T03:04:05.5+02:00";
        let body = br#"{"level": "warn", "sources": ["a", "b*"], "paths": "/var/log/*", "limit": 5,
            "tail": "18446744073709551615", "include": ["a+b c"], "exclude": ["x"], "with_fields": true,
            "where": {"k": "=v", "host": "a"}, "context_before": 1, "context_after": 2, "cursor": "-_8", "resume":
            ["+/8="], "end": "AQ", "wait": "1500ms", "follow": true, "since": "2026-01-02T01:04:05.5Z", "until": null}"#;
        let from_query = Parameters::of_query(query).expect("a query");
        assert_eq!(Parameters::of_json(body).expect("a body"), from_query);
        let request = &from_query.request;
        assert_eq!((request.tail, request.limit, request.include[0].as_str()), (Some(u64::MAX), 5, "a+b c"));
        assert_eq!(request.r#where.get("k").map(String::as_str), Some("=v"));
        assert_eq!((request.resume.len(), from_query.wait), (2, Some(Duration::from_millis(1500))));
        assert_eq!(request.since.as_ref().map(|time| time.nanos), Some(500_000_000));
        assert_eq!(Parameters::of_query("").expect("nothing"), Parameters::default());
        assert_eq!(Parameters::of_json(b" \n").expect("nothing"), Parameters::default());
    }

    #[test]
    fn what_is_unknown_or_malformed_is_named() {
        for (query, name) in [
            ("colour=red", "colour: there is no such parameter"),
            ("tail=-1", "tail: \"-1\" is no number, or too large a one"),
            ("tail=+1", "tail: \" 1\" is no number, or too large a one"),
            ("tail=", "tail: \"\" is no number, or too large a one"),
            ("context_after=4294967296", "context_after: \"4294967296\" is no number, or too large a one"),
            ("level=a&level=b", "level: it may be given once"),
            ("where=k", "where: it has to be key=value"),
            ("where=k=1&where=k=2", "where: \"k\" cannot have two values"),
            ("since=yesterday-ish", "since: \"yesterday-ish\" is neither RFC 3339 nor how long ago, like 15m"),
            ("wait=61s", "wait: more than the 60 s allowed"),
            ("wait=60.5", "wait: more than the 60 s allowed"),
            ("wait=-1s", "wait: \"-1s\" is no time to wait, like 30s"),
            ("wait=1e1", "wait: \"1e1\" is no time to wait, like 30s"),
            ("wait=", "wait: \"\" is no time to wait, like 30s"),
            ("follow=maybe", "follow: \"maybe\" is neither true nor false"),
            ("include=%ff", "%ff: it is not UTF-8"),
        ] {
            assert_eq!(message(Parameters::of_query(query)), name, "{query}");
        }
        assert!(message(Parameters::of_query("resume=AQ&resume=a!")).starts_with("resume[1]: not base64"));
        for (body, name) in [
            ("[]", "body: not a JSON object"),
            ("{\"a\": {}}", "a: there is no such parameter"),
            ("{\"level\": [\"a\"]}", "level: it has to be a single value"),
            ("{\"sources\": [1]}", "sources: its elements have to be strings"),
            ("{\"where\": {\"a\": 1}}", "where: the value of \"a\" has to be a string"),
            ("{\"limit\": 1.5}", "limit: \"1.5\" is no number"),
        ] {
            let said = message(Parameters::of_json(body.as_bytes()));
            assert!(said.starts_with(name), "{body}: {said}");
        }
    }

    #[test]
    fn a_cursor_that_is_too_long_for_a_url_is_told_to_go_into_a_body() {
        let at = |len: usize| Parameters::of_query(&format!("cursor={}", "A".repeat(len)));
        at(CURSOR_TEXT_BYTES_MAX).expect("it fits");
        let refused = at(CURSOR_TEXT_BYTES_MAX + 4).expect_err("it does not fit");
        assert_eq!(refused.code().as_u16(), 413);
        assert!(refused.message().contains("POST"));
        let body = format!("{{\"cursor\": \"{}\"}}", "A".repeat(CURSOR_TEXT_BYTES_MAX + 4));
        Parameters::of_json(body.as_bytes()).expect("a body takes any cursor");
    }

    #[test]
    fn times_are_read_as_they_are_written() {
        let read = |text: &str| time("since", text).map(|time| (time.seconds, time.nanos));
        assert_eq!(read("1970-01-01T00:00:01.25Z").expect("a time"), (1, 250_000_000));
        assert_eq!(read("1969-12-31T23:59:59.75Z").expect("a time"), (-1, 750_000_000));
        assert_eq!(read("1970-01-01T02:00:00 02:00").expect("a zone whose plus was eaten"), (0, 0));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as i64;
        let ago = now - read("15m").expect("so long ago").0;
        assert!((899..=901).contains(&ago), "{ago}");
        for (text, millis) in [("0", 0), ("60", 60_000), ("0.5", 500), ("1.5s", 1_500), ("250ms", 250), ("1m", 60_000)]
        {
            assert_eq!(wait("wait", text).expect("a time"), Duration::from_millis(millis), "{text}");
        }
        assert_eq!(duration("99999999999999999999s"), None);
        assert_eq!(duration("18446744073709551615w"), None);
    }
}
