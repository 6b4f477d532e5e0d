//! Keeps the structure of the tree: layers, confinement, headers, file sizes, documents that name real files.
//!
//! The rules are tables at the top. Each check is a pure function of a file's path and text, and is itself held to
//! small made-up inputs at the end, so that it cannot come to pass everything.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "tidy/licences.rs"]
mod licences;

use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// What each layer may name, besides itself. Rows are in build order: a row names only rows above it, so a cycle
/// cannot be written down.
const LAYERS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("wire", &["base"]),
    ("http", &["base"]),
    ("server", &["wire", "http", "base"]),
    ("store", &["http", "wire", "base"]),
    ("journal", &["store", "wire", "base"]),
    ("cache", &["store", "base"]),
    ("reader", &["cache", "store", "base"]),
    ("writer", &["journal", "store", "base"]),
    ("vfs", &["writer", "reader", "cache", "journal", "store", "base"]),
    ("fuse", &["vfs", "store", "base"]),
    ("mount", &["fuse", "vfs", "writer", "reader", "cache", "journal", "store", "server", "http", "base"]),
    ("cli", &["mount", "fuse", "vfs", "journal", "store", "server", "base"]),
];

/// What may be named only below one place, and why. A word matches between characters that cannot belong to it.
const CONFINED: &[(&str, &str, &str)] = &[
    ("fuser", "src/fuse/", "FUSE is spoken in one place"),
    ("reqwest", "src/http/", "HTTP is spoken in one place"),
    ("hyper", "src/http/", "HTTP is spoken in one place"),
    ("hyper_util", "src/http/", "HTTP is spoken in one place"),
    ("rustls", "src/http/", "TLS is spoken in one place"),
    ("quick_xml", "src/wire/", "XML is written and read in one place"),
    ("aws_config", "src/store/credentials.rs", "where credentials are looked for"),
    ("redb", "src/server/", "the index is the backend's"),
    ("aws_lc_rs", "src/server/backend/seal.rs", "encryption is in one place"),
    ("SystemTime::now", "src/base/clock.rs", "time is an argument"),
    ("Instant::now", "src/base/clock.rs", "time is an argument"),
    ("println!", "src/cli/", "only the command line prints"),
    ("eprintln!", "src/cli/", "only the command line prints"),
    ("print!", "src/cli/", "only the command line prints"),
    ("eprint!", "src/cli/", "only the command line prints"),
    ("io::stdout", "src/cli/", "only the command line prints"),
    ("io::stderr", "src/cli/", "only the command line prints"),
    ("process::exit", "src/main.rs", "a status is returned, not exited with"),
    ("env::var", "src/cli/resolve.rs", "the environment is read in one place"),
    ("env::var_os", "src/cli/resolve.rs", "the environment is read in one place"),
];

/// Files that a confinement does not bind: (file, word, why).
const UNBOUND: &[(&str, &str, &str)] = &[
    ("src/mount/background.rs", "io::stdout", "the line that the waiting command reads"),
    ("src/store/layers/retry/attempts.rs", "Instant::now", "tokio's clock, which tests can pause"),
    ("src/store/layers/retry/body.rs", "Instant::now", "tokio's clock, which tests can pause"),
    ("src/fuse/pool.rs", "Instant::now", "tokio's clock, which tests can pause"),
    ("src/store/line.rs", "Instant::now", "tokio's clock, which tests can pause"),
    ("src/store/layers/removals.rs", "Instant::now", "tokio's clock, which tests can pause"),
];

/// What must not be written anywhere in the program, and why.
const FORBIDDEN: &[(&str, &str)] = &[
    ("todo!", "unfinished"),
    ("unimplemented!", "unfinished"),
    ("#[ignore", "a test that does not run is no test"),
    ("#[allow(", "write #[expect(.., reason = \"..\")], which complains when it is no longer needed"),
    ("#![allow(", "write #[expect(.., reason = \"..\")], which complains when it is no longer needed"),
];

/// Names for what has no name; a module says what it is about.
const NAMELESS: &[&str] = &["util", "utils", "helper", "helpers", "manager", "common", "misc"];

const LINES_MAX: usize = 500;
/// Files that are longer, and how long they may be. This list only shrinks.
const LONGER: &[(&str, usize)] = &[];

/// One file of the tree.
struct Source {
    path: String,
    text: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All files below `directory` with this ending.
fn files(directory: &str, ending: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let mut directories = vec![root().join(directory)];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|e| e == ending) {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                found.push(Source { path: name, text: fs::read_to_string(&path).unwrap() });
            }
        }
    }
    assert!(!found.is_empty(), "no {ending} files below {directory}: the check would pass for nothing");
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn fail_on(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

/// The text with comments and the insides of literals blanked, lines kept.
fn code(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        let skip = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if raw_string_bytes(text, at).is_some() {
            raw_string_bytes(text, at).unwrap()
        } else if rest.starts_with('"') {
            string_bytes(rest)
        } else if let Some(length) = char_bytes(rest) {
            length
        } else {
            let letter = rest.chars().next().unwrap();
            out.push(letter);
            at += letter.len_utf8();
            continue;
        };
        out.push(' ');
        out.extend(rest[..skip].chars().filter(|letter| *letter == '\n'));
        at += skip;
    }
    out
}

fn string_bytes(rest: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in rest.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

fn raw_string_bytes(text: &str, at: usize) -> Option<usize> {
    let rest = text[at..].strip_prefix('r')?;
    let before = text[..at].chars().next_back();
    if before.is_some_and(|letter| is_word(letter) && letter != 'b') {
        return None;
    }
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    let body = rest[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(1 + hashes + 1 + body.find(&end).map_or(body.len(), |found| found + end.len()))
}

/// A character literal, not a lifetime.
fn char_bytes(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix('\'')?;
    if let Some(escaped) = inner.strip_prefix('\\') {
        return Some(3 + escaped.char_indices().skip(1).find(|(_, letter)| *letter == '\'')?.0);
    }
    let letter = inner.chars().next()?;
    inner[letter.len_utf8()..].starts_with('\'').then_some(letter.len_utf8() + 2)
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Where `word` stands in `text` by itself.
fn uses<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = text[..*at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        let starts = !before.is_some_and(is_word) || !word.starts_with(is_word);
        let ends = !after.is_some_and(is_word) || !word.ends_with(is_word);
        starts && ends
    })
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// The layer that a file of `src/` belongs to.
fn layer(path: &str) -> Option<&str> {
    let below = path.strip_prefix("src/")?;
    below.split_once('/').map(|(directory, _)| directory)
}

/// Whether a file is about another one: it may use what that one may not.
fn is_test(path: &str) -> bool {
    path.starts_with("tests/") || path.ends_with("/tests.rs") || path.contains("/tests/")
}

fn check_layers(layers: &[(&str, &[&str])], path: &str, code: &str) -> Vec<String> {
    let Some(own) = layer(path) else { return Vec::new() };
    let Some((_, allowed)) = layers.iter().find(|(name, _)| *name == own) else {
        return vec![format!("{path}: the layer {own:?} is not in the table of layers")];
    };
    let mut complaints = Vec::new();
    for at in uses(code, "crate") {
        let Some(rest) = code[at..].strip_prefix("crate::") else { continue };
        if rest.starts_with('{') {
            complaints
                .push(format!("{path}:{}: write one path per `use`, so that it can be checked", line_of(code, at)));
            continue;
        }
        let named: String = rest.chars().take_while(|letter| is_word(*letter)).collect();
        if named != own && !allowed.contains(&named.as_str()) {
            let line = line_of(code, at);
            complaints.push(format!("{path}:{line}: {own} names {named}; it may name only {allowed:?}"));
        }
    }
    complaints.extend(
        uses(code, "super::super").map(|at| format!("{path}:{}: write the path from `crate`", line_of(code, at))),
    );
    complaints
}

fn check_confined(path: &str, code: &str) -> Vec<String> {
    let unbound = |word: &str| UNBOUND.iter().any(|(file, free, _)| *file == path && *free == word);
    let binding = CONFINED.iter().filter(|(word, place, _)| !path.starts_with(place) && !unbound(word));
    binding
        .flat_map(|(word, place, why)| {
            uses(code, word).map(move |at| format!("{path}:{}: {word} belongs in {place}: {why}", line_of(code, at)))
        })
        .collect()
}

fn check_forbidden(path: &str, code: &str) -> Vec<String> {
    let found = FORBIDDEN.iter().flat_map(|(word, why)| {
        uses(code, word).map(move |at| format!("{path}:{}: {word} is not written here: {why}", line_of(code, at)))
    });
    found.collect()
}

fn check_shape(longer: &[(&str, usize)], path: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if !text.starts_with("//! ") {
        complaints.push(format!("{path}: opens without `//!`, what lives here and what on purpose does not"));
    }
    let stem = Path::new(path).file_stem().unwrap().to_str().unwrap();
    if NAMELESS.contains(&stem) {
        complaints.push(format!("{path}: {stem:?} names nothing; say what it is about"));
    }
    let max = longer.iter().find(|(name, _)| *name == path).map_or(LINES_MAX, |(_, max)| *max);
    let lines = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
    if !is_test(path) && lines > max {
        complaints.push(format!("{path}: {lines} lines without its tests, at most {max}; split it by what it does"));
    }
    complaints
}

/// The paths named in backticks in a document: what looks like a file or directory of this tree.
fn named_paths(text: &str) -> Vec<&str> {
    const TOPS: [&str; 6] = ["src/", "tests/", "docs/", "packaging/", ".ci/", "benches/"];
    let spans = text.split('`').skip(1).step_by(2);
    spans.filter(|span| TOPS.iter().any(|top| span.starts_with(top)) && !span.contains([' ', '\n', '*', '<'])).collect()
}

fn check_document(path: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let missing = named_paths(text).into_iter().filter(|named| !exists(named));
    missing.map(|named| format!("{path}: names `{named}`, which is not there")).collect()
}

/// The crates that a manifest depends on, for the program and for its tests.
fn dependencies(manifest: &str) -> Vec<&str> {
    let mut inside = false;
    let mut names = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line == "[dependencies]" || line == "[dev-dependencies]";
        } else if let Some((name, _)) = line.split_once('=').filter(|_| inside && !line.starts_with('#')) {
            names.push(name.trim());
        }
    }
    names
}

fn check_decided(dependencies: &[&str], decisions: &str) -> Vec<String> {
    let words: Vec<_> = decisions.split(|letter: char| !is_word(letter) && letter != '-').collect();
    let missing = dependencies.iter().filter(|name| !words.contains(*name));
    missing.map(|name| format!("Cargo.toml: no document says what {name} saves")).collect()
}

fn program() -> Vec<Source> {
    files("src", "rs")
}

fn untested() -> Vec<Source> {
    program().into_iter().filter(|file| !is_test(&file.path)).collect()
}

fn all_rust() -> Vec<Source> {
    let mut all = program();
    all.extend(files("tests", "rs"));
    all.extend(files("benches", "rs"));
    all
}

fn documents() -> Vec<Source> {
    let mut all = files("docs", "md");
    for name in ["README.md", "CHANGELOG.md"] {
        all.push(Source { path: name.to_owned(), text: fs::read_to_string(root().join(name)).unwrap() });
    }
    all
}

#[test]
fn layers_name_only_layers_below_them() {
    for (row, (name, allowed)) in LAYERS.iter().enumerate() {
        for below in *allowed {
            assert!(
                LAYERS[..row].iter().any(|(above, _)| above == below),
                "{name} names {below}, which is not above it"
            );
        }
    }
    fail_on(untested().iter().flat_map(|file| check_layers(LAYERS, &file.path, &code(&file.text))).collect());
}

#[test]
fn what_belongs_in_one_place_stays_there() {
    fail_on(untested().iter().flat_map(|file| check_confined(&file.path, &code(&file.text))).collect());
}

#[test]
fn nothing_is_left_unfinished_or_waved_through() {
    fail_on(all_rust().iter().flat_map(|file| check_forbidden(&file.path, &code(&file.text))).collect());
}

#[test]
fn files_say_what_they_are_and_are_not_too_long() {
    fail_on(all_rust().iter().flat_map(|file| check_shape(LONGER, &file.path, &file.text)).collect());
}

#[test]
fn exceptions_are_still_needed() {
    let all = program();
    for (path, max) in LONGER {
        let file = all.iter().find(|file| file.path == *path).unwrap_or_else(|| panic!("{path} is gone"));
        assert!(!check_shape(&[], path, &file.text).is_empty(), "{path} needs no exception of {max} lines any more");
    }
    for (path, word, why) in UNBOUND {
        let file = all.iter().find(|file| file.path == *path).unwrap_or_else(|| panic!("{path} is gone"));
        assert!(code(&file.text).contains(word), "{path} needs no exception for {word} ({why}) any more");
    }
}

#[test]
fn documents_name_files_that_are_there() {
    let exists = |path: &str| root().join(path).exists();
    fail_on(documents().iter().flat_map(|file| check_document(&file.path, &file.text, exists)).collect());
    let headers = program();
    fail_on(headers.iter().flat_map(|file| check_document(&file.path, &file.text, exists)).collect());
}

#[test]
fn each_dependency_says_what_it_saves() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let decisions: String = files("docs/decisions", "md").into_iter().map(|file| file.text).collect();
    fail_on(check_decided(&dependencies(&manifest), &decisions));
}

#[test]
fn the_check_of_layers_finds_what_it_looks_for() {
    let layers: &[(&str, &[&str])] = &[("low", &[]), ("high", &["low"])];
    let rows: &[(&str, &str, usize, &str)] = &[
        ("src/high/a.rs", "use crate::low::X;\nuse crate::high::Y;", 0, "down, and within"),
        ("src/low/a.rs", "use crate::high::X;", 1, "up"),
        ("src/low/a.rs", "fn f() { crate::high::g() }", 1, "up, in the middle of code"),
        ("src/low/a.rs", "pub(crate) fn f() {}", 0, "a visibility"),
        ("src/high/a.rs", "use crate::{low::X};", 1, "a list hides what it names"),
        ("src/high/a/b.rs", "use super::super::x;", 1, "a path that cannot be read"),
        ("src/new/a.rs", "", 1, "a layer that is in no row"),
        ("src/main.rs", "use crate::anything::X;", 0, "the top"),
    ];
    for (path, text, want, why) in rows {
        assert_eq!(check_layers(layers, path, text).len(), *want, "{why}: {text}");
    }
}

#[test]
fn the_check_of_confinement_finds_what_it_looks_for() {
    let rows: &[(&str, &str, usize, &str)] = &[
        ("src/vfs/a.rs", "use fuser::X;", 1, "FUSE outside of fuse"),
        ("src/fuse/a.rs", "use fuser::X;", 0, "FUSE in fuse"),
        ("src/vfs/a.rs", "use my_fuser::X;", 0, "another word"),
        ("src/store/a.rs", "reqwest::get()", 1, "HTTP outside of http"),
        ("src/vfs/a.rs", "let t = std::time::SystemTime::now();", 1, "the clock"),
        ("src/base/clock.rs", "SystemTime::now()", 0, "the clock's place"),
        ("src/server/a.rs", "println!()", 1, "printing"),
        ("src/server/a.rs", "eprintln!()", 1, "printing is found once"),
        ("src/cli/a.rs", "println!()", 0, "printing's place"),
        ("src/mount/background.rs", "io::stdout()", 0, "an exception by name"),
        ("src/mount/daemon.rs", "io::stdout()", 1, "which binds the others"),
    ];
    for (path, text, want, why) in rows {
        assert_eq!(check_confined(path, &code(text)).len(), *want, "{why}: {text}");
    }
}

#[test]
fn the_other_checks_find_what_they_look_for() {
    for word in
        ["todo!()", "unimplemented!()", "#[ignore]", "#[ignore = \"slow\"]", "#[allow(dead_code)]", "#![allow(x)]"]
    {
        assert_eq!(check_forbidden("src/a.rs", &code(word)).len(), 1, "{word}");
        assert_eq!(check_forbidden("src/a.rs", &code(&format!("// {word}"))).len(), 0, "a comment may speak of {word}");
    }
    let long = format!("//! x\n{}", "\n".repeat(LINES_MAX));
    let tested = format!("//! x\n#[cfg(test)]\n{}", "\n".repeat(LINES_MAX));
    assert_eq!(check_shape(&[], "src/a.rs", "//! x\n"), [""; 0]);
    assert_eq!(check_shape(&[], "src/a.rs", "fn f() {}\n").len(), 1, "no header");
    assert_eq!(check_shape(&[], "src/a/util.rs", "//! x\n").len(), 1, "no name");
    assert_eq!(check_shape(&[], "src/a.rs", &long).len(), 1, "too long");
    assert_eq!(check_shape(&[("src/a.rs", 600)], "src/a.rs", &long).len(), 0, "an exception by name");
    assert_eq!(check_shape(&[], "src/a.rs", &tested).len(), 0, "tests do not count");
    let text = "See `src/a.rs` and `src/b.rs`, `not a path`, `tests/` and `docs/x.md`.";
    assert_eq!(named_paths(text), ["src/a.rs", "src/b.rs", "tests/", "docs/x.md"]);
    assert_eq!(check_document("d.md", text, |path| path != "src/b.rs").len(), 1);
    let manifest = "[package]\nname = \"x\"\n[dependencies]\na-b = \"1\"\n# no = 1\nc = { version = \"2\" }\n[lints.rust]\nd = \"warn\"";
    assert_eq!(dependencies(manifest), ["a-b", "c"]);
    assert_eq!(check_decided(&["a-b", "c"], "| a-b | saves much |"), ["Cargo.toml: no document says what c saves"]);
}

#[test]
fn code_is_told_from_comments_and_literals() {
    let rows: &[(&str, &[&str], &[&str])] = &[
        ("a // hidden\nb", &["a", "b"], &["hidden"]),
        ("a /* hidden */ b", &["a", "b"], &["hidden"]),
        (r#"f("hidden // hidden") + b"#, &["f(", "b"], &["hidden"]),
        (r#"f("\"hidden") + b"#, &["f(", "b"], &["hidden"]),
        ("f(r#\"hidden \" hidden\"#) + b", &["f(", "b"], &["hidden"]),
        ("br\"hidden\" + b", &["b"], &["hidden"]),
        ("match c { '\"' => a, '\\'' => b, '/' => x }", &["a", "b", "x"], &["\""]),
        ("fn f<'a>(x: &'a str) -> b", &["'a", "b"], &[]),
    ];
    for (text, kept, hidden) in rows {
        let code = code(text);
        for word in *kept {
            assert!(code.contains(word), "{text} became {code}");
        }
        for word in *hidden {
            assert!(!code.contains(word), "{text} became {code}");
        }
    }
}
