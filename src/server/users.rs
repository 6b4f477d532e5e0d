//! The file of `brigade serve --users`: more key pairs, and what each of them may do. In the form of the AWS tools' own
//! file, so that a client can be pointed at it too:
//!
//! ```ini
//! [backup]
//! aws_access_key_id = BACKUP
//! aws_secret_access_key = ..
//! access = read-only
//! buckets = photos, logs-*
//! ```

use crate::server::keys::Keys;
use crate::server::permissions::Access;
use crate::server::permissions::Permissions;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Permission bits of others than the owner.
const OTHERS: u32 = 0o077;

/// Reads the pairs of a file that only its owner may read.
///
/// # Errors
/// One line that names the file, the line in it, and what would be right.
pub fn read(path: &Path) -> Result<Vec<(Keys, Permissions)>, String> {
    let shown = path.display();
    let mode = std::fs::metadata(path).map_err(|cause| format!("cannot read the users in {shown}: {cause}"))?.mode();
    if mode & OTHERS != 0 {
        return Err(format!("{shown} holds secrets that others can read (mode {:04o}); chmod 600 it", mode & 0o7777));
    }
    let text = std::fs::read_to_string(path).map_err(|cause| format!("cannot read the users in {shown}: {cause}"))?;
    parse(&text).map_err(|why| format!("{shown}: {why}"))
}

/// A section, as far as it has been read.
struct Section {
    name: String,
    line: usize,
    id: Option<String>,
    secret: Option<String>,
    permissions: Permissions,
}

/// Reads the pairs of the file's text.
///
/// # Errors
/// One line that names the line, and what would be right.
pub fn parse(text: &str) -> Result<Vec<(Keys, Permissions)>, String> {
    let mut users: Vec<(Keys, Permissions)> = Vec::new();
    let mut current: Option<Section> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            users.extend(current.take().map(finish).transpose()?);
            let (name, permissions) = (name.trim().to_owned(), Permissions::ALL);
            current = Some(Section { name, line: number, id: None, secret: None, permissions });
            continue;
        }
        let section = current.as_mut().ok_or_else(|| format!("line {number}: write [NAME] before the first pair"))?;
        let (name, value) = line.split_once('=').ok_or_else(|| format!("line {number}: write NAME = VALUE"))?;
        set(section, name.trim(), value.trim()).map_err(|why| format!("line {number}: {why}"))?;
    }
    users.extend(current.take().map(finish).transpose()?);
    let mut ids: Vec<&str> = users.iter().map(|(keys, _)| keys.access_key_id.as_str()).collect();
    ids.sort_unstable();
    match ids.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("the access key {} is there twice; give each user its own", pair[0])),
        None => Ok(users),
    }
}

fn set(section: &mut Section, name: &str, value: &str) -> Result<(), String> {
    match name {
        "aws_access_key_id" => section.id = Some(value.to_owned()),
        "aws_secret_access_key" => section.secret = Some(value.to_owned()),
        "access" => {
            section.permissions.access = match value {
                "full" => Access::Full,
                "read-only" => Access::ReadOnly,
                other => return Err(format!("access {other:?} is not known; use full or read-only")),
            }
        }
        "buckets" => {
            let patterns: Vec<_> =
                value.split(',').map(str::trim).filter(|p| !p.is_empty()).map(str::to_owned).collect();
            let is_legal = |pattern: &String| !pattern.strip_suffix('*').unwrap_or(pattern).contains('*');
            if let Some(pattern) = patterns.iter().find(|pattern| !is_legal(pattern)) {
                return Err(format!(
                    "the pattern {pattern:?} has a * before its end; write a name, or its beginning and *"
                ));
            }
            section.permissions.buckets = Some(patterns);
        }
        other => {
            let known = "aws_access_key_id, aws_secret_access_key, access or buckets";
            return Err(format!("{other:?} is not known; use {known}"));
        }
    }
    Ok(())
}

fn finish(section: Section) -> Result<(Keys, Permissions), String> {
    let Section { name, line, id, secret, permissions } = section;
    let given = |value: Option<String>| value.filter(|value| !value.is_empty());
    match (given(id), given(secret)) {
        (Some(access_key_id), Some(secret)) => Ok((Keys { access_key_id, secret }, permissions)),
        (None, _) => Err(format!("line {line}: [{name}] has no aws_access_key_id")),
        (_, None) => Err(format!("line {line}: [{name}] has no aws_secret_access_key")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const PAIR: &str = "aws_access_key_id = A\naws_secret_access_key = s\n";

    #[test]
    fn users_have_what_their_sections_say() {
        let text =
            format!("# all\n[a]\n{PAIR}\n[b]\naccess = read-only\nbuckets = x, y-*\n{}", PAIR.replace("= A", "= B"));
        let users = parse(&text).unwrap();
        let ids: Vec<_> = users.iter().map(|(keys, _)| keys.access_key_id.as_str()).collect();
        assert_eq!(ids, ["A", "B"]);
        assert_eq!(users[0].1, Permissions::ALL);
        let buckets = Some(vec!["x".to_owned(), "y-*".to_owned()]);
        assert_eq!(users[1].1, Permissions { access: Access::ReadOnly, buckets });
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let rows = [
            ("access = full".to_owned(), "line 1: write [NAME] before"),
            ("[a]\nnonsense".to_owned(), "line 2: write NAME = VALUE"),
            (format!("[a]\n{PAIR}access = write"), "line 4: access \"write\" is not known; use full or read-only"),
            (format!("[a]\n{PAIR}bucket = x"), "line 4: \"bucket\" is not known; use aws_access_key_id"),
            (format!("[a]\n{PAIR}buckets = a*b"), "line 4: the pattern \"a*b\" has a * before its end"),
            ("\n[a]\naws_access_key_id = A".to_owned(), "line 2: [a] has no aws_secret_access_key"),
            ("[a]\naws_secret_access_key = s".to_owned(), "line 1: [a] has no aws_access_key_id"),
            (format!("[a]\n{PAIR}[b]\n{PAIR}"), "the access key A is there twice"),
        ];
        for (text, want) in rows {
            let why = parse(&text).unwrap_err();
            assert!(why.starts_with(want), "{text:?}: {why}");
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        assert!(read(&path).unwrap_err().starts_with("cannot read the users"));
        std::fs::write(&path, format!("[a]\n{PAIR}")).unwrap();
        for (mode, want) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(read(&path).is_ok(), want, "{mode:o}");
        }
    }
}
