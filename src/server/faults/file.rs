//! Plans of faults as people write them, in TOML. What is wrong with one is said in a line that names the line.

use crate::base::bytesize::ByteSize;
use crate::base::random;
use crate::server::dialect::Dialect;
use crate::server::faults::plan::Behind;
use crate::server::faults::plan::Body;
use crate::server::faults::plan::CHANGES_MAX;
use crate::server::faults::plan::Delay;
use crate::server::faults::plan::Effect;
use crate::server::faults::plan::Ending;
use crate::server::faults::plan::MILLION;
use crate::server::faults::plan::Plan;
use crate::server::faults::plan::Point;
use crate::server::faults::plan::Requests;
use crate::server::faults::plan::Rule;
use crate::server::faults::plan::When;
use crate::wire::error_code::ErrorCode;
use serde::Deserialize;
use std::ops::Range;
use std::time::Duration;
use toml::Spanned;

/// Every fault by its name in a file.
pub const NAMES: &[&str] = &[
    "latency",
    "bandwidth",
    "clock-skew",
    "status",
    "expired-credentials",
    "disk-full",
    "reset",
    "lost-request",
    "lost-answer",
    "outage",
    "stall",
    "truncated",
    "corrupted",
    "error-in-200",
    "wrong-etag",
    "stale-listing",
];

/// Every operation that a rule can name.
pub const OPERATIONS: &[&str] = &[
    "ListBuckets",
    "CreateBucket",
    "DeleteBucket",
    "HeadBucket",
    "GetBucketLocation",
    "ListObjects",
    "ListObjectsV2",
    "ListMultipartUploads",
    "DeleteObjects",
    "PutObject",
    "CopyObject",
    "MoveObject",
    "GetObject",
    "HeadObject",
    "DeleteObject",
    "CreateMultipartUpload",
    "UploadPart",
    "UploadPartCopy",
    "ListParts",
    "CompleteMultipartUpload",
    "AbortMultipartUpload",
];

/// Seconds; a delay or a time of a rule is not longer: a day.
const TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads a plan. Without a seed it gets one that nobody can know.
///
/// # Errors
/// What is wrong, in which line, and what is allowed.
pub fn parse(text: &str) -> Result<Plan, String> {
    let written: Written = toml::from_str(text).map_err(|error| {
        let why = error.message().lines().collect::<Vec<_>>().join("; ");
        error.span().map_or_else(|| why.clone(), |span| said_at(text, &span, &why))
    })?;
    let rules = written.rule.into_iter().map(|rule| {
        let span = rule.span();
        read(rule.into_inner()).map_err(|(within, why)| said_at(text, &within.unwrap_or(span), &why))
    });
    let rules = rules.collect::<Result<_, _>>()?;
    let drawn = || u64::from_le_bytes(random::bytes()) >> 1;
    Ok(Plan { seed: written.seed.unwrap_or_else(drawn), rules })
}

fn said_at(text: &str, span: &Range<usize>, why: &str) -> String {
    let before = text.get(..span.start).unwrap_or(text);
    format!("line {}: {why}", before.matches('\n').count() + 1)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    seed: Option<u64>,
    #[serde(default)]
    rule: Vec<Spanned<WrittenRule>>,
}

#[derive(Deserialize)]
struct WrittenRule {
    fault: Spanned<String>,
    operation: Option<Spanned<OneOrMany>>,
    key: Option<String>,
    method: Option<String>,
    dialect: Option<Spanned<String>>,
    nth: Option<Spanned<u64>>,
    every: Option<Spanned<u64>>,
    probability: Option<Spanned<f64>>,
    after: Option<Spanned<String>>,
    before: Option<Spanned<String>>,
    times: Option<u64>,
    #[serde(flatten)]
    own: toml::Table,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// What is wrong, and where, if it is known closer than the rule.
type Wrong = (Option<Range<usize>>, String);

fn read(mut rule: WrittenRule) -> Result<Rule, Wrong> {
    let within = |span: Range<usize>| move |why: String| (Some(span), why);
    let effect = effect(rule.fault.get_ref(), &mut Values(&mut rule.own)).map_err(within(rule.fault.span()))?;
    if let Some(name) = rule.own.keys().next() {
        return Err((None, format!("{:?} has no setting {name:?}; see docs/faults.md", rule.fault.get_ref())));
    }
    let operations = match rule.operation {
        None => effect.operations().iter().map(|name| (*name).to_owned()).collect(),
        Some(given) => {
            let span = given.span();
            operations(given.into_inner(), &effect).map_err(within(span))?
        }
    };
    let time = |given: Option<Spanned<String>>| {
        given.map(|given| duration(given.get_ref()).map_err(within(given.span()))).transpose()
    };
    let positive = |name: &'static str, given: Option<Spanned<u64>>| match given {
        Some(given) if *given.get_ref() == 0 => Err((Some(given.span()), format!("{name} counts from 1"))),
        given => Ok(given.map(Spanned::into_inner)),
    };
    let dialect = rule.dialect.map(|given| dialect(given.get_ref()).map_err(within(given.span()))).transpose()?;
    let probability = rule.probability.map(|given| millionths(*given.get_ref()).map_err(within(given.span())));
    let requests = Requests {
        operations,
        key: rule.key,
        method: rule.method.map(|method| method.to_ascii_uppercase()),
        dialect,
        after: time(rule.after)?,
        before: time(rule.before)?,
    };
    let when = When {
        nth: positive("nth", rule.nth)?,
        every: positive("every", rule.every)?,
        millionths: probability.transpose()?,
        times: rule.times,
    };
    Ok(Rule { requests, when, effect })
}

fn operations(given: OneOrMany, effect: &Effect) -> Result<Vec<String>, String> {
    let names = match given {
        OneOrMany::One(name) => vec![name],
        OneOrMany::Many(names) => names,
    };
    let own = effect.operations();
    let allowed = if own.is_empty() { OPERATIONS } else { own };
    match names.iter().find(|name| !allowed.contains(&name.as_str())) {
        Some(name) => Err(format!("{:?} cannot happen to {name:?}; use one of {}", effect.name(), allowed.join(", "))),
        None if names.is_empty() => Err("operation names none; leave it out for all".to_owned()),
        None => Ok(names),
    }
}

fn dialect(name: &str) -> Result<Dialect, String> {
    match name {
        "s3" => Ok(Dialect::S3),
        "jss" => Ok(Dialect::Jss),
        "wos" => Ok(Dialect::Wos),
        other => Err(format!("the dialect {other:?} is not known; use s3, jss or wos")),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and a million")]
fn millionths(probability: f64) -> Result<u64, String> {
    if (0.0..=1.0).contains(&probability) {
        Ok((probability * MILLION as f64).round() as u64)
    } else {
        Err(format!("probability {probability} is none; use 0.0 to 1.0"))
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let time = text.parse::<jiff::SignedDuration>().ok().and_then(|time| Duration::try_from(time).ok());
    time.filter(|time| *time <= TIME_MAX)
        .ok_or_else(|| format!("{text:?} is no time; write a number with its unit up to a day, such as 500ms or 30s"))
}

/// The settings that only some faults have.
struct Values<'a>(&'a mut toml::Table);

impl Values<'_> {
    fn text(&mut self, name: &str) -> Result<Option<String>, String> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(toml::Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(format!("{name} is no text; put it in quotes")),
        }
    }

    fn time(&mut self, name: &str) -> Result<Option<Duration>, String> {
        self.text(name)?.map(|text| duration(&text).map_err(|why| format!("{name}: {why}"))).transpose()
    }

    fn needed_time(&mut self, name: &str) -> Result<Duration, String> {
        self.time(name)?.ok_or_else(|| format!("{name} is missing, such as {name} = \"500ms\""))
    }

    fn number(&mut self, name: &str) -> Result<Option<u64>, String> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(toml::Value::Integer(number)) if number >= 0 => Ok(Some(number.unsigned_abs())),
            Some(_) => Err(format!("{name} is no number; write a whole one from 0 on")),
        }
    }

    /// Bytes, as a number or with a unit.
    fn bytes(&mut self, name: &str) -> Result<Option<u64>, String> {
        match self.0.get(name) {
            Some(toml::Value::String(_)) => {
                let text = self.text(name)?.unwrap_or_default();
                text.parse::<ByteSize>().map(|size| Some(size.0)).map_err(|why| format!("{name}: {why}"))
            }
            Some(_) | None => self.number(name),
        }
    }

    fn flag(&mut self, name: &str) -> Result<bool, String> {
        match self.0.remove(name) {
            None => Ok(false),
            Some(toml::Value::Boolean(flag)) => Ok(flag),
            Some(_) => Err(format!("{name} is neither true nor false")),
        }
    }

    fn choice<T: Copy>(&mut self, name: &str, default: T, choices: &[(&str, T)]) -> Result<T, String> {
        let Some(text) = self.text(name)? else { return Ok(default) };
        choices.iter().find(|(choice, _)| *choice == text).map(|(_, value)| *value).ok_or_else(|| {
            let names: Vec<_> = choices.iter().map(|(choice, _)| *choice).collect();
            format!("{name} = {text:?} is not known; use one of {}", names.join(", "))
        })
    }
}

fn effect(name: &str, values: &mut Values<'_>) -> Result<Effect, String> {
    Ok(match name {
        "latency" => latency(values)?,
        "bandwidth" => bandwidth(values)?,
        "clock-skew" => {
            let text = values.text("by")?.ok_or("by is missing, such as by = \"-20m\"")?;
            let by = text.parse::<jiff::SignedDuration>().ok().filter(|by| by.unsigned_abs() <= TIME_MAX);
            let by = by.ok_or_else(|| format!("by = {text:?} is no time up to a day; write such as 20m or -20m"))?;
            Effect::ClockSkew(by.as_secs())
        }
        "status" => status(values)?,
        "expired-credentials" => {
            let (code, message) = (ErrorCode::ExpiredToken, ErrorCode::ExpiredToken.message());
            // Amazon's reference has 400 for it, other stores answer 403.
            let status = one_of("status", values.number("status")?.unwrap_or(403), &[400, 403])?;
            Effect::Refused { status, code, message, retry_after: None }
        }
        "disk-full" => {
            let status = one_of("status", values.number("status")?.unwrap_or(507), &[503, 507])?;
            let message = "The disk of the server is full.";
            Effect::Refused { status, code: ErrorCode::ServiceUnavailable, message, retry_after: None }
        }
        "reset" => {
            let bytes = values.bytes("bytes")?;
            let places = [
                ("before-body", Point::BeforeBody),
                ("in-body", Point::InBody(bytes)),
                ("after-body", Point::AfterBody),
                ("in-answer", Point::InAnswer(bytes)),
            ];
            Effect::Cut { at: values.choice("at", Point::BeforeBody, &places)?, how: Ending::Reset }
        }
        "lost-request" => Effect::Cut { at: Point::BeforeBody, how: Ending::Closed },
        "lost-answer" => Effect::Cut { at: Point::BeforeAnswer, how: Ending::Closed },
        "outage" => Effect::Cut { at: Point::BeforeBody, how: Ending::Reset },
        "stall" => Effect::Stall(values.needed_time("delay")?),
        "truncated" => Effect::Truncated { bytes: values.bytes("bytes")?, announced: values.flag("announced")? },
        "corrupted" => {
            let bodies = [("answer", Body::Answer), ("request", Body::Request)];
            Effect::Corrupted(values.choice("of", Body::Answer, &bodies)?)
        }
        "error-in-200" => {
            let code = values.text("code")?.unwrap_or_else(|| "InternalError".to_owned());
            Effect::ErrorInside(ErrorCode::parse(&code).ok_or_else(|| format!("code = {code:?} is no code of S3's"))?)
        }
        "wrong-etag" => Effect::WrongETag,
        "stale-listing" => match (values.time("age")?, values.number("behind")?) {
            (Some(age), None) => Effect::StaleListing(Behind::Time(age)),
            (None, Some(changes)) => {
                let changes = usize::try_from(changes).ok().filter(|changes| (1..=CHANGES_MAX).contains(changes));
                let changes = changes.ok_or_else(|| format!("behind is 1 to {CHANGES_MAX} changes"))?;
                Effect::StaleListing(Behind::Changes(changes))
            }
            (None, None) | (Some(_), Some(_)) => {
                return Err("give one of age, such as age = \"5s\", and behind, such as behind = 3".to_owned());
            }
        },
        other => return Err(format!("the fault {other:?} is not known; use one of {}", NAMES.join(", "))),
    })
}

fn latency(values: &mut Values<'_>) -> Result<Effect, String> {
    let (least, most) = (values.needed_time("delay")?, values.time("delay_max")?);
    let long_tail = values.choice("spread", false, &[("uniform", false), ("long-tail", true)])?;
    if most.is_some_and(|most| most < least) {
        return Err("delay_max is shorter than delay".to_owned());
    }
    if long_tail && (most.is_none() || least.is_zero()) {
        return Err("spread = \"long-tail\" needs a delay above 0 and a delay_max".to_owned());
    }
    Ok(Effect::Latency(Delay { least, most, long_tail }))
}

fn bandwidth(values: &mut Values<'_>) -> Result<Effect, String> {
    let (up, down) = (values.bytes("up")?, values.bytes("down")?);
    if up.is_none() && down.is_none() || up == Some(0) || down == Some(0) {
        return Err("give up, down or both, in bytes a second above 0, such as down = \"1MiB\"".to_owned());
    }
    Ok(Effect::Bandwidth { up, down })
}

fn status(values: &mut Values<'_>) -> Result<Effect, String> {
    let given = values.number("status")?.ok_or("status is missing; use one of 429, 500, 503")?;
    let status = one_of("status", given, &[429, 500, 503])?;
    let code = match status {
        500 => ErrorCode::InternalError,
        429 => ErrorCode::SlowDown,
        _ => ErrorCode::ServiceUnavailable,
    };
    // Both rest upon the second, the unit of the header (RFC 9110, 10.2.3).
    let retry_after = values.time("retry_after")?.map(|time| time.as_secs_f64().ceil());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most a day")]
    let retry_after = retry_after.map(|seconds| seconds as u64);
    Ok(Effect::Refused { status, code, message: code.message(), retry_after })
}

fn one_of(name: &str, given: u64, allowed: &[u16]) -> Result<u16, String> {
    let found = allowed.iter().find(|status| u64::from(**status) == given);
    found.copied().ok_or_else(|| format!("{name} = {given} is not possible here; use one of {allowed:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_read_by_its_name() {
        let needed = [
            ("latency", "delay = \"10ms\""),
            ("bandwidth", "down = \"1MiB\""),
            ("clock-skew", "by = \"-20m\""),
            ("status", "status = 503\nretry_after = \"1500ms\""),
            ("stall", "delay = \"5s\""),
            ("stale-listing", "behind = 2"),
        ];
        for name in NAMES {
            let settings = needed.iter().find(|(needing, _)| needing == name).map_or("", |(_, settings)| settings);
            let plan = parse(&format!("[[rule]]\nfault = \"{name}\"\n{settings}")).unwrap();
            let told = plan.rules[0].effect.name();
            // A reset before the body by another name.
            assert_eq!(told, if *name == "outage" { "reset" } else { name });
        }
        let plan = parse("seed = 5\n[[rule]]\nfault = \"status\"\nstatus = 503\nretry_after = \"1500ms\"").unwrap();
        assert!(matches!(plan.rules[0].effect, Effect::Refused { retry_after: Some(2), .. }), "whole seconds");
        assert_eq!(plan.seed, 5);
        assert_eq!(parse("").unwrap().rules, []);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line_and_what_is_allowed() {
        let rows = [
            ("seed = \"x\"", "line 1: ", "u64"),
            ("\nsed = 1", "line 2: ", "seed"),
            ("[[rule]]\nfault = ", "line 2: ", ""),
            ("[[rule]]\nfault = \"flood\"", "line 2: ", "use one of latency, bandwidth"),
            ("[[rule]]\n\nkey = \"a\"", "line 1: ", "missing field `fault`"),
            ("seed = 1\n[[rule]]\nfault = \"latency\"", "line 3: ", "delay is missing"),
            ("[[rule]]\nfault = \"latency\"\ndelay = \"soon\"", "line 2: ", "delay: \"soon\" is no time"),
            ("[[rule]]\nfault = \"latency\"\ndelay = 3", "line 2: ", "put it in quotes"),
            ("[[rule]]\nfault = \"latency\"\ndelay = \"2s\"\ndelay_max = \"1s\"", "line 2: ", "shorter"),
            ("[[rule]]\nfault = \"reset\"\nat = \"noon\"", "line 2: ", "before-body, in-body, after-body, in-answer"),
            ("[[rule]]\nfault = \"status\"\nstatus = 418", "line 2: ", "429, 500, 503"),
            ("[[rule]]\nfault = \"corrupted\"\n\noperation = \"PutObject\"", "line 4: ", "use one of GetObject"),
            ("[[rule]]\nfault = \"corrupted\"\nof = \"head\"", "line 2: ", "use one of answer, request"),
            ("[[rule]]\nfault = \"reset\"\noperation = \"Put\"", "line 3: ", "ListBuckets, "),
            ("[[rule]]\nfault = \"reset\"\noperation = []", "line 3: ", "leave it out"),
            ("[[rule]]\nfault = \"reset\"\nprobability = 2.0", "line 3: ", "0.0 to 1.0"),
            ("[[rule]]\nfault = \"reset\"\nnth = 0", "line 3: ", "from 1"),
            ("[[rule]]\nfault = \"reset\"\nafter = \"x\"", "line 3: ", "no time"),
            ("[[rule]]\nfault = \"reset\"\ndialect = \"gs\"", "line 3: ", "s3, jss or wos"),
            ("[[rule]]\nfault = \"reset\"\ncolour = \"red\"", "line 1: ", "no setting \"colour\""),
            ("[[rule]]\nfault = \"stale-listing\"\nbehind = 65", "line 2: ", "1 to 64"),
            ("[[rule]]\nfault = \"stale-listing\"", "line 2: ", "one of age"),
            ("[[rule]]\nfault = \"bandwidth\"", "line 2: ", "up, down or both"),
            ("[[rule]]\nfault = \"error-in-200\"\ncode = \"Oops\"", "line 2: ", "no code"),
            ("[[rule]]\nfault = \"clock-skew\"\nby = \"90h\"", "line 2: ", "up to a day"),
        ];
        for (text, line, says) in rows {
            let why = parse(text).unwrap_err();
            assert!(why.starts_with(line) && why.contains(says), "{text:?}: {why}");
            assert!(!why.contains('\n'), "{why:?}");
        }
    }
}
