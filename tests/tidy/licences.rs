//! Under which licences the crates are that the program and its tests are built from. Cargo knows them from the crates
//! themselves; what is not in the table fails.

use std::process::Command;

/// What the program may be built from, and why.
const ALLOWED: &[(&str, &str)] = &[
    ("Apache-2.0", "our own"),
    ("MIT", "asks for its text only"),
    ("BSD-3-Clause", "asks for its text, and for no praise in the authors' names"),
    ("ISC", "MIT in fewer words; much of TLS is under it"),
    ("Zlib", "asks for nothing of programs"),
    ("Unicode-3.0", "the tables of Unicode, as host names need them; asks for its text only"),
];

/// Whether an SPDX expression leaves a choice of which all is allowed. Old crates write `/` for `OR`.
fn is_allowed(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let verdict = any_of(&mut words, allowed);
    verdict && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>, allowed: &[&str]) -> bool {
    let mut verdict = all_of(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        verdict |= all_of(words, allowed);
    }
    verdict
}

fn all_of(words: &mut Words<'_>, allowed: &[&str]) -> bool {
    let mut verdict = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        verdict &= one(words, allowed);
    }
    verdict
}

fn one(words: &mut Words<'_>, allowed: &[&str]) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let verdict = any_of(words, allowed);
        return words.next_if_eq(&")").is_some() && verdict;
    }
    let Some(name) = words.next() else { return false };
    match words.next_if_eq(&"WITH") {
        // An exception only permits more, but it is another licence until somebody has read it.
        Some(_) => words.next().is_some_and(|exception| allowed.contains(&format!("{name} WITH {exception}").as_str())),
        None => allowed.contains(&name),
    }
}

#[test]
fn every_crate_may_be_used() {
    let cargo = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO")).args(arguments).current_dir(super::root()).output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "cargo {arguments:?}: {complaint}");
        String::from_utf8(output.stdout).unwrap()
    };
    // What is built for other systems is not downloaded.
    let version = cargo(&["-vV"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let told = cargo(&["metadata", "--format-version", "1", "--locked", "--filter-platform", host]);
    let metadata: serde_json::Value = serde_json::from_str(&told).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100, "the check would pass for nothing");
    let allowed: Vec<_> = ALLOWED.iter().map(|(name, _)| *name).collect();
    let refused =
        packages.iter().filter(|package| !package["license"].as_str().is_some_and(|l| is_allowed(l, &allowed)));
    let complaints = refused.map(|package| {
        let licence = package["license"].as_str().unwrap_or("no licence that cargo knows");
        format!(
            "{} {}: {licence}; take another crate, or add a licence with its reason",
            package["name"], package["version"]
        )
    });
    super::fail_on(complaints.collect());
}

#[test]
fn expressions_are_read() {
    let rows = [
        ("MIT", true),
        ("GPL-3.0", false),
        ("", false),
        ("MIT OR GPL-3.0", true),
        ("GPL-3.0/MIT", true),
        ("MIT AND GPL-3.0", false),
        ("MIT AND ISC OR GPL-3.0", true),
        ("GPL-3.0 OR MIT AND MPL-2.0", false),
        ("(GPL-3.0 OR MIT) AND ISC", true),
        ("ISC AND (GPL-3.0 OR MPL-2.0)", false),
        ("MIT WITH an-exception", false),
        ("MIT WITH an-exception OR ISC", true),
        ("(MIT", false),
        ("MIT ISC", false),
        ("MIT OR", true),
        ("MIT AND", false),
    ];
    for (expression, want) in rows {
        assert_eq!(is_allowed(expression, &["MIT", "ISC"]), want, "{expression:?}");
    }
}
