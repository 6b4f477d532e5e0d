//! From arguments to a command, or to one line about what is wrong with them.

use crate::cli::Failure;
use crate::cli::args::Cli;
use crate::cli::args::Command;
use crate::cli::options;
use crate::cli::options::Takes;
use clap::CommandFactory;
use clap::Parser;
use clap::error::ErrorKind;
use std::ffi::OsString;
use std::path::Path;

/// What the arguments came to.
pub enum Parsed {
    /// A command.
    Typed(Box<Typed>),
    /// Text that was asked for: help, or the version.
    Help(String),
}

/// A command, and the arguments that say the same again.
pub struct Typed {
    /// The command.
    pub cli: Cli,
    /// With the mount helper's form undone; what the process in the background is started with.
    pub arguments: Vec<OsString>,
}

/// Parses arguments, the program's name first.
pub fn parse(arguments: &[OsString]) -> Result<Parsed, Failure> {
    let helper = arguments.first().is_some_and(|name| Path::new(name).file_name() == Some("mount.brigade".as_ref()));
    let arguments =
        if helper { options::from_mount_helper(arguments).map_err(Failure::Usage)? } else { arguments.to_vec() };
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return refuse_or_help(&error, &arguments),
    };
    let Command::Mount(mount) = &cli.command else { return Ok(Parsed::Typed(Box::new(Typed { cli, arguments }))) };
    let expanded =
        options::to_arguments(&mount.options, mount_option).map_err(|why| Failure::Usage(see(&why, "mount")))?;
    // In front of the others, so that what is said by a long option has the last word.
    let all: Vec<_> = arguments.iter().take(2).chain(&expanded).chain(arguments.iter().skip(2)).collect();
    match Cli::try_parse_from(all) {
        Ok(cli) => Ok(Parsed::Typed(Box::new(Typed { cli, arguments }))),
        Err(error) => refuse_or_help(&error, &arguments),
    }
}

fn refuse_or_help(error: &clap::Error, arguments: &[OsString]) -> Result<Parsed, Failure> {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(Parsed::Help(error.to_string())),
        _ => {
            let typed = arguments.get(1).and_then(|name| name.to_str()).unwrap_or_default();
            let command = Cli::command().find_subcommand(typed).map(|command| command.get_name().to_owned());
            Err(Failure::Usage(see(&one_line(&error.to_string()), &command.unwrap_or_default())))
        }
    }
}

fn see(message: &str, command: &str) -> String {
    if command.is_empty() {
        format!("{message}; see `brigade --help`")
    } else {
        format!("{message}; see `brigade {command} --help`")
    }
}

fn mount_option(name: &str) -> Option<Takes> {
    let cli = Cli::command();
    let mount = cli.find_subcommand("mount").expect("it is a command");
    let option = mount.get_arguments().find(|option| option.get_long() == Some(name))?;
    Some(if option.get_action().takes_values() { Takes::Value } else { Takes::Nothing })
}

// clap writes paragraphs: what is wrong, a hint, the usage, where help is. The first two are worth a line.
fn one_line(text: &str) -> String {
    let text = text.trim().strip_prefix("error: ").unwrap_or(text);
    let paragraphs = text.split("\n\n").map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    let told = paragraphs.take_while(|p| !p.starts_with("Usage:") && !p.starts_with("For more information"));
    told.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(typed: &str) -> String {
        match parse(&typed.split(' ').map(OsString::from).collect::<Vec<_>>()) {
            Err(Failure::Usage(message)) => message,
            Err(other) => panic!("{typed}: {other:?}"),
            Ok(_) => panic!("{typed} was taken"),
        }
    }

    fn mount(typed: &str) -> Box<crate::cli::args::MountArgs> {
        match parse(&typed.split(' ').map(OsString::from).collect::<Vec<_>>()) {
            Ok(Parsed::Typed(typed)) => match typed.cli.command {
                Command::Mount(mount) => mount,
                other => panic!("{other:?}"),
            },
            Ok(Parsed::Help(_)) => panic!("{typed} is no cry for help"),
            Err(failure) => panic!("{typed}: {failure:?}"),
        }
    }

    #[test]
    fn wrong_usage_is_one_line_that_names_the_option_the_value_and_what_is_legal() {
        let rows: &[(&str, &[&str])] = &[
            ("brigade", &["subcommand", "mount, umount, status, log, upgrade, serve, check", "see `brigade --help`"]),
            ("brigade fly", &["'fly'", "see `brigade --help`"]),
            ("brigade mount", &["<SOURCE>", "<DIR>", "see `brigade mount --help`"]),
            ("brigade mount s3://b m --regoin x", &["'--regoin'", "'--region'", "see `brigade mount --help`"]),
            ("brigade mount s3://b m --part-size 8parsecs", &["'8parsecs'", "'--part-size <SIZE>'", "KiB"]),
            ("brigade mount s3://b m --part-size big", &["'big'", "'--part-size <SIZE>'", "8MiB"]),
            ("brigade mount s3://b m --file-mode 999", &["'999'", "'--file-mode <OCTAL>'", "000 to 777"]),
            ("brigade mount s3://b m --metadata-ttl 5", &["'5'", "'--metadata-ttl <TIME>'", "500ms"]),
            ("brigade mount s3://b m --checksum sha1", &["'sha1'", "auto, crc64nvme, crc32c, md5, sha256, none"]),
            ("brigade mount s3://b m --signature v2", &["'v2'", "auto, legacy, current"]),
            ("brigade check", &["<SOURCE>", "see `brigade check --help`"]),
            ("brigade mount s3://b m --addressing odd", &["'odd'", "auto, path, virtual"]),
            ("brigade mount s3://b m --upload-concurrency -1", &["'-1'"]),
            ("brigade mount s3://b m -o part_size=big", &["'big'", "'--part-size <SIZE>'", "8MiB"]),
            ("brigade mount s3://b m -o colour=red", &["\"colour\"", "see `brigade mount --help`"]),
            ("brigade mount s3://b m -o help", &["unknown mount option \"help\""]),
            ("brigade mount s3://b m -o secret-access-key=x", &["unknown mount option"]),
            ("brigade serve d --listen here", &["'here'", "'--listen <ADDR:PORT>'", "see `brigade serve --help`"]),
            ("brigade umount m --timeout soon", &["'soon'", "30s", "see `brigade umount --help`"]),
        ];
        for (typed, wants) in rows {
            let line = refused(typed);
            assert!(!line.contains('\n'), "{typed}: {line}");
            for want in *wants {
                assert!(line.contains(want), "{typed}: {line:?} does not say {want:?}");
            }
        }
    }

    #[test]
    fn mount_options_mean_the_same_as_long_options() {
        let args = mount("brigade mount s3://b m -o ro,part_size=16MiB -o region=x,_netdev");
        assert!(args.files.read_only);
        assert_eq!(args.uploads.part_size.0, 16 << 20);
        assert_eq!(args.store.region.as_deref(), Some("x"));
        let args = mount("brigade mount --region long s3://b m -o region=short");
        assert_eq!(args.store.region.as_deref(), Some("long"), "a long option has the last word");
        let args = mount("/usr/sbin/mount.brigade s3://b /m -o rw,allow_other");
        assert!(args.files.allow_other && args.dir == Path::new("/m"));
    }

    #[test]
    fn help_reads_well_and_is_not_a_failure() {
        for typed in
            ["brigade --help", "brigade mount --help", "brigade umount -h", "brigade check --help", "brigade -V"]
        {
            match parse(&typed.split(' ').map(OsString::from).collect::<Vec<_>>()) {
                Ok(Parsed::Help(text)) => assert!(text.contains("brigade"), "{typed}: {text}"),
                Ok(Parsed::Typed(_)) | Err(_) => panic!("{typed} gives no help"),
            }
        }
    }
}
