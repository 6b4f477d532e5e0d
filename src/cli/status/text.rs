//! How the status of mounts reads: short aligned lines for people. Pure.

use crate::base::bytesize::ByteSize;
use crate::cli::status::Look;
use crate::cli::status::Seen;
use crate::mount::status::Blocks;
use crate::mount::status::Failed;
use crate::mount::status::HitsAndMisses;
use crate::mount::status::Requests;
use crate::mount::status::Status;
use crate::mount::status::Upload;
use std::time::Duration;

/// Uploads that are shown; of the others there is a number.
const UPLOADS_SHOWN: usize = 10;
/// Failures that are shown, the latest.
const FAILURES_SHOWN: usize = 5;
/// Letters of a bar.
const BAR: u64 = 20;
/// The column where figures begin.
const LABEL: usize = 10;

/// A page about all mounts. Rates of the whole mount are those since the look `before`.
pub(in crate::cli) fn page(look: &Look, before: Option<&Look>) -> Vec<String> {
    if look.mounts.is_empty() {
        return vec!["nothing of yours is mounted by Brigade".to_owned()];
    }
    let mut lines = Vec::new();
    for seen in &look.mounts {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        let (source, dir) = (shown(&seen.mount.source), shown(&seen.mount.dir.to_string_lossy()));
        match &seen.status {
            Err(why) => lines.push(format!("{source} on {dir}: {}", shown(why))),
            Ok(status) => {
                lines.push(format!("{source} on {dir}, served for {}", span(status.serving_s)));
                let earlier = before.and_then(|before| earlier(before, seen));
                let since = before.map(|before| look.at.saturating_duration_since(before.at));
                lines.extend(of_mount(status, earlier.zip(since)));
            }
        }
    }
    lines
}

/// The same mount as it was before, served by the same process: another one counts anew.
fn earlier<'a>(before: &'a Look, seen: &Seen) -> Option<&'a Status> {
    let now = seen.status.as_ref().ok()?;
    let known = before.mounts.iter().find(|known| known.mount.device == seen.mount.device)?;
    known.status.as_deref().ok().filter(|status| status.pid == now.pid)
}

fn of_mount(status: &Status, before: Option<(&Status, Duration)>) -> Vec<String> {
    let mut lines = vec![labelled("store", &store(status, before)), labelled("files", &files(status))];
    let memory = &status.memory;
    let waiting = if memory.waiting > 0 { format!(", {} wait for some", memory.waiting) } else { String::new() };
    lines.push(labelled("memory", &format!("{} of {}{waiting}", ByteSize(memory.bytes), ByteSize(memory.limit_bytes))));
    if let Some(journal) = &status.journal {
        let (bytes, limit) = (ByteSize(journal.bytes), ByteSize(journal.limit_bytes));
        lines.push(labelled("journal", &format!("{}, {bytes} of {limit}", counted(journal.files))));
    }
    lines.push(labelled("caches", &caches(status)));
    if let Some(Blocks { hits, misses, bytes, limit_bytes, .. }) = status.caches.blocks {
        let (share, bytes, limit) = (share(HitsAndMisses { hits, misses }), ByteSize(bytes), ByteSize(limit_bytes));
        lines.push(labelled("blocks", &format!("{share} from local disk; {bytes} of {limit} there")));
    }
    if !status.requests.is_empty() {
        lines.push(labelled("requests", &requests(status)));
        let cost = format!("about {} at {}", dollars(status.cost.micro_usd), status.cost.prices);
        lines.push(labelled("cost", &cost));
    }
    let contents: Vec<_> = status.uploads.iter().filter(|upload| upload.stage != "attributes").collect();
    let attributes = status.uploads.len() - contents.len();
    if !contents.is_empty() {
        lines.push("  uploads".to_owned());
        lines.extend(contents.iter().take(UPLOADS_SHOWN).map(|upload| format!("    {}", progress(upload))));
    }
    let more = status.files.dirty.saturating_sub(attributes).saturating_sub(contents.len().min(UPLOADS_SHOWN));
    if more > 0 {
        lines.push(format!("    and {more} more"));
    }
    if attributes > 0 {
        lines.push(labelled("changes", &format!("attributes of {} are to be stored", counted(attributes))));
    }
    if !status.errors.is_empty() {
        lines.push("  last failures (UTC)".to_owned());
        let skipped = status.errors.len().saturating_sub(FAILURES_SHOWN);
        lines.extend(status.errors.iter().skip(skipped).map(|failed| format!("    {}", failure(failed))));
    }
    lines
}

fn labelled(label: &str, text: &str) -> String {
    format!("  {label:LABEL$}{text}")
}

fn store(status: &Status, before: Option<(&Status, Duration)>) -> String {
    let answers = match status.outage_s {
        None => "answers".to_owned(),
        Some(seconds) => format!("has not answered for {}; what is to be stored waits for it", span(seconds)),
    };
    let (sent, received) = moved(status);
    let rates = before.map(|(before, since)| (moved(before), since.as_millis().max(1)));
    let with_rate = |now: u64, before: Option<(u64, u128)>| match before {
        Some((before, millis)) => {
            let rate = u128::from(now.saturating_sub(before)) * 1000 / millis;
            format!("{} at {}/s", ByteSize(now), ByteSize(u64::try_from(rate).unwrap_or(u64::MAX)))
        }
        None => ByteSize(now).to_string(),
    };
    let sent = with_rate(sent, rates.map(|((sent, _), millis)| (sent, millis)));
    let received = with_rate(received, rates.map(|((_, received), millis)| (received, millis)));
    format!("{answers}; sent {sent}, received {received}")
}

/// Bytes of contents that were sent and received.
fn moved(status: &Status) -> (u64, u64) {
    let all: u64 = status.requests.values().map(|requests| requests.bytes).sum();
    let received = status.requests.get("GetObject").map_or(0, |requests| requests.bytes);
    (all - received, received)
}

fn files(status: &Status) -> String {
    let files = &status.files;
    let open = format!("{} open", files.open);
    let removals = match files.to_be_removed {
        0 => String::new(),
        1 => "; 1 removed one still in it".to_owned(),
        files => format!("; {files} removed ones still in it"),
    };
    if files.dirty == 0 {
        return format!("{open}, all that was written is in the bucket{removals}");
    }
    let stored = files.dirty_bytes.saturating_sub(files.unsent_bytes);
    let sizes = format!("{} of {} stored", ByteSize(stored), ByteSize(files.dirty_bytes));
    format!("{open}, {} not in the bucket yet: {sizes}{removals}", files.dirty)
}

fn caches(status: &Status) -> String {
    let caches = &status.caches;
    format!("names {}, metadata {}, reads {}", share(caches.lookups), share(caches.metadata), share(caches.reads))
}

fn share(of: HitsAndMisses) -> String {
    let all = of.hits + of.misses;
    match all {
        0 => "-".to_owned(),
        _ => format!("{} % of {all}", of.hits * 100 / all),
    }
}

fn requests(status: &Status) -> String {
    let mut kinds: Vec<_> = status.requests.iter().collect();
    kinds.sort_by_key(|(name, requests)| (std::cmp::Reverse(requests.begun), *name));
    let kinds: Vec<_> = kinds.iter().map(|(name, requests)| kind(name, requests)).collect();
    kinds.join(", ")
}

fn kind(name: &str, requests: &Requests) -> String {
    let failed: u64 = requests.failed.values().sum();
    let notes = [(failed, "failed"), (requests.retries, "repeated")];
    let notes: Vec<_> =
        notes.iter().filter(|(times, _)| *times > 0).map(|(times, what)| format!("{times} {what}")).collect();
    let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) };
    format!("{name} {}{notes}", requests.begun)
}

/// Cents where there are some, else as many digits as it takes.
fn dollars(micro: u64) -> String {
    let digits = if micro >= 1_000_000 { 2 } else { 6 };
    let text = format!("{}.{:06}", micro / 1_000_000, micro % 1_000_000);
    format!("${}", &text[..text.len() - 6 + digits])
}

fn progress(upload: &Upload) -> String {
    let Upload { stored_bytes, size_bytes, .. } = upload;
    let path = if upload.path.is_empty() { "(removed)".to_owned() } else { shown(&upload.path) };
    let rate = upload.bytes_per_second.map(|rate| format!("  {}/s", ByteSize(rate))).unwrap_or_default();
    let left = match (upload.stage.as_str(), upload.remaining_s) {
        ("open", _) => "  being written".to_owned(),
        (_, Some(seconds)) => format!("  {} left", span(seconds)),
        (_, None) => String::new(),
    };
    let sizes = format!("{} of {}", ByteSize(*stored_bytes), ByteSize(*size_bytes));
    format!("{} {sizes}{rate}{left}  {path}", bar(*stored_bytes, *size_bytes))
}

fn bar(done: u64, all: u64) -> String {
    let of = |scale: u64| u64::try_from(u128::from(done) * u128::from(scale) / u128::from(all.max(1))).unwrap_or(scale);
    let full = usize::try_from(of(BAR)).unwrap_or_default();
    let rest = usize::try_from(BAR).unwrap_or_default().saturating_sub(full);
    format!("[{}{}] {:3} %", "#".repeat(full), "-".repeat(rest), of(100))
}

fn failure(failed: &Failed) -> String {
    let clock = failed.time.get(11..19).unwrap_or(&failed.time);
    let times = if failed.times > 1 { format!(" ({} times)", failed.times) } else { String::new() };
    let errno = failed.errno.as_deref().map(|errno| format!("{errno}: ")).unwrap_or_default();
    shown(&format!("{clock} {} {:?}: {errno}{}{times}", failed.operation, failed.path, failed.message))
}

fn counted(files: usize) -> String {
    if files == 1 { "1 file".to_owned() } else { format!("{files} files") }
}

/// A span of time in its two largest units.
fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// Without what a terminal would take for a command: names come from anywhere.
fn shown(text: &str) -> String {
    text.chars()
        .flat_map(|letter| if letter.is_control() { letter.escape_default().collect() } else { vec![letter] })
        .collect()
}

#[cfg(test)]
mod tests;
