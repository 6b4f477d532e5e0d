//! `-o a,b=c` as mount(8) and fstab(5) write it, turned into the long options of `brigade mount`, so that one
//! definition serves both. Pure.

use std::ffi::OsString;

/// What a long option of `brigade mount` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Nothing: it is a switch.
    Nothing,
    /// A value.
    Value,
}

/// What fstab says to others than the file system.
// `noatime` and its kin are true of every mount of ours: nothing records accesses.
const FOR_OTHERS: [&str; 13] = [
    "rw",
    "defaults",
    "auto",
    "noauto",
    "user",
    "nouser",
    "nofail",
    "_netdev",
    "noatime",
    "nodiratime",
    "relatime",
    "nosuid",
    "nodev",
];

/// Turns the values of `-o` into arguments. `known` answers what a long option takes, if there is one of that name.
///
/// # Errors
/// One line that names the option.
pub fn to_arguments(values: &[String], known: impl Fn(&str) -> Option<Takes>) -> Result<Vec<OsString>, String> {
    let mut arguments = Vec::new();
    for option in values.iter().flat_map(|value| split(value)) {
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (option.as_str(), None),
        };
        // mount(8)'s own words, and its habit of underscores.
        let long = if name == "ro" { "read-only".to_owned() } else { name.replace('_', "-") };
        if name.is_empty() || FOR_OTHERS.contains(&name) || name.starts_with("x-") || name == "comment" {
            continue;
        }
        match (known(&long), value) {
            (None, _) => {
                return Err(format!("unknown mount option {name:?}; every long option of `brigade mount` is one"));
            }
            (Some(Takes::Nothing), Some(value)) => {
                return Err(format!("the mount option {name:?} takes no value, but was given {value:?}"));
            }
            (Some(Takes::Value), None) => {
                return Err(format!("the mount option {name:?} needs a value, as in {name}=VALUE"));
            }
            (Some(Takes::Nothing), None) => arguments.push(format!("--{long}").into()),
            (Some(Takes::Value), Some(value)) => arguments.push(format!("--{long}={value}").into()),
        }
    }
    Ok(arguments)
}

/// The arguments that mount(8) gives to its helper `mount.brigade`, as those of `brigade mount`.
///
/// # Errors
/// One line that names the option.
pub fn from_mount_helper(arguments: &[OsString]) -> Result<Vec<OsString>, String> {
    let mut out: Vec<OsString> = vec!["brigade".into(), "mount".into()];
    let mut rest = arguments.iter().skip(1);
    while let Some(argument) = rest.next() {
        match argument.to_str() {
            // Be verbose, be sloppy about options, write no mtab: nothing to do for us.
            Some("-v" | "-s" | "-n") => {}
            Some("-o") => {
                let value = rest.next().ok_or("mount.brigade: -o needs options after it")?;
                out.extend(["-o".into(), value.clone()]);
            }
            Some("-t") => {
                let kind = rest.next().ok_or("mount.brigade: -t needs a type after it")?;
                if kind != "brigade" && kind != "fuse.brigade" {
                    return Err(format!("mount.brigade mounts the type brigade, not {}", kind.display()));
                }
            }
            Some(text) if text.starts_with('-') => {
                return Err(format!(
                    "mount.brigade: unknown option {text:?}; it takes SOURCE DIR [-o OPTIONS] [-n] [-v]"
                ));
            }
            Some(_) | None => out.push(argument.clone()),
        }
    }
    Ok(out)
}

// A comma inside a value is written `\,`.
fn split(text: &str) -> Vec<String> {
    let mut options = vec![String::new()];
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let last = options.last_mut().expect("it begins with one");
        match letter {
            '\\' if matches!(letters.peek(), Some(',' | '\\')) => last.extend(letters.next()),
            ',' => options.push(String::new()),
            other => last.push(other),
        }
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str) -> Option<Takes> {
        match name {
            "read-only" | "allow-other" => Some(Takes::Nothing),
            "region" | "prefix" => Some(Takes::Value),
            _ => None,
        }
    }

    #[test]
    fn mount_options_become_long_options() {
        type Row = (&'static str, Result<&'static [&'static str], &'static str>, &'static str);
        let rows: &[Row] = &[
            ("read-only", Ok(&["--read-only"]), "a switch"),
            ("region=eu,prefix=a/b=c", Ok(&["--region=eu", "--prefix=a/b=c"]), "values, an equals sign within"),
            ("allow_other,ro", Ok(&["--allow-other", "--read-only"]), "mount's spellings"),
            ("rw,_netdev,defaults,noauto,x-systemd.automount,nofail", Ok(&[]), "what fstab says to others"),
            ("prefix=a\\,b\\\\", Ok(&["--prefix=a,b\\"]), "an escaped comma and backslash"),
            ("", Ok(&[]), "nothing"),
            (",,ro,", Ok(&["--read-only"]), "stray commas"),
            ("region", Err("\"region\" needs a value"), "a value is missing"),
            ("read-only=yes", Err("\"read-only\" takes no value"), "a value too many"),
            ("colour=red", Err("unknown mount option \"colour\""), "no such option"),
            ("noexec", Err("unknown mount option \"noexec\""), "not kept silently unenforced"),
        ];
        for (text, want, why) in rows {
            let got = to_arguments(&[(*text).to_owned()], known);
            match (got, want) {
                (Ok(got), Ok(want)) => assert_eq!(got, *want, "{text:?}: {why}"),
                (Err(got), Err(want)) => assert!(got.contains(want), "{text:?}: {got}"),
                (got, want) => panic!("{text:?}: {why}: {got:?}, not {want:?}"),
            }
        }
    }

    #[test]
    fn the_mount_helper_speaks_as_mount_does() {
        let arguments = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        let rows = [
            ("/sbin/mount.brigade s3://b /mnt -o rw,ro", Ok("brigade mount s3://b /mnt -o rw,ro")),
            ("mount.brigade s3://b /mnt -n -v -s -t brigade", Ok("brigade mount s3://b /mnt")),
            ("mount.brigade s3://b /mnt -f", Err("unknown option \"-f\"")),
            ("mount.brigade s3://b /mnt -o", Err("-o needs options")),
            ("mount.brigade s3://b /mnt -t ext4", Err("not ext4")),
        ];
        for (typed, want) in rows {
            match (from_mount_helper(&arguments(typed)), want) {
                (Ok(got), Ok(want)) => assert_eq!(got, arguments(want), "{typed}"),
                (Err(got), Err(want)) => assert!(got.contains(want), "{typed}: {got}"),
                (got, want) => panic!("{typed}: {got:?}, not {want:?}"),
            }
        }
    }
}
