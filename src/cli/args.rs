//! What can be typed: commands, options, and how their values are read. What is meant by it is `resolve.rs`.

use crate::base::bytesize::ByteSize;
use clap::Args;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Mounts object-storage buckets as directories.
#[derive(Debug, Parser)]
#[command(name = "brigade", version, disable_help_subcommand = true, arg_required_else_help = false, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  brigade mount local:bucket-data mnt       a bucket kept in ./bucket-data, as ./mnt
  brigade mount s3://photos/2026 ~/photos   a part of a real bucket
  brigade status                            what your mounts do, and what is on its way
  brigade umount mnt                        finish what is being stored, then unmount
  brigade check s3://photos                 whether it can be mounted, and what the store can do
  brigade serve bucket-data                 the same data, for every S3 client

Credentials are found where the AWS tools look: the environment, then ~/.aws.
Exit status: 0 done, 1 failed, 2 wrong usage.";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Mount a bucket on a directory, and return when it is ready
    Mount(Box<MountArgs>),
    /// Store what is pending, then unmount; fails if anything is not in the bucket
    Umount(UmountArgs),
    /// Show what mounts do: files, uploads under way, memory, requests and their cost, the last failures
    Status(StatusArgs),
    /// Show what a mount logs, and change it
    Log(LogCommandArgs),
    /// Have this program go on with a mount, while programs use it
    Upgrade(UpgradeArgs),
    /// Serve a directory of data as an S3 endpoint
    Serve(ServeArgs),
    /// See whether a bucket can be mounted, what its store can do, and what to put right
    Check(Box<CheckArgs>),
    /// See unfinished multipart uploads, and abort or resume them
    Uploads(Box<UploadsArgs>),
}

/// `brigade mount`.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub struct MountArgs {
    /// s3://BUCKET[/PREFIX], jss://.., wos://.., or local:PATH for a bucket kept in PATH
    pub source: String,
    /// An empty directory to mount on
    pub dir: PathBuf,
    /// Stay in the foreground and log to the terminal
    #[arg(short, long)]
    pub foreground: bool,
    /// Options as mount(8) writes them; every long option is one (-o read-only,region=eu-west-1)
    #[arg(short = 'o', value_name = "OPT[=VALUE],..", action = clap::ArgAction::Append)]
    pub options: Vec<String>,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// The files.
    #[command(flatten)]
    pub files: FileArgs,
    /// The uploads.
    #[command(flatten)]
    pub uploads: UploadArgs,
    /// What happens while the store is gone.
    #[command(flatten)]
    pub outage: OutageArgs,
    /// Show figures to Prometheus at http://ADDR:PORT/metrics (docs/status.md)
    #[arg(long, value_name = "ADDR:PORT", help_heading = "Monitoring")]
    pub metrics: Option<SocketAddr>,
    /// The log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// What happens while the store is gone.
#[derive(Debug, Args)]
#[command(next_help_heading = "When the store is gone")]
pub struct OutageArgs {
    /// What is to be stored waits until the store is back; the default
    #[arg(long, overrides_with = "soft")]
    pub hard: bool,
    /// What is to be stored fails after --timeout, as reading does
    #[arg(long, overrides_with = "hard")]
    pub soft: bool,
    /// How long a store that fails or is silent is waited for, such as 30s or 5m
    #[arg(long, value_name = "TIME", value_parser = parse_time, default_value = "60s")]
    pub timeout: Duration,
}

/// How the store is reached.
#[derive(Debug, Args)]
#[command(next_help_heading = "The store")]
pub struct StoreArgs {
    /// The endpoint, such as http://127.0.0.1:9000 [default: the provider's]
    #[arg(long, value_name = "URL")]
    pub endpoint_url: Option<String>,
    /// For local: only: do wrong on purpose what this plan says (docs/faults.md)
    #[arg(long, value_name = "FILE")]
    pub faults: Option<PathBuf>,
    /// The region that requests are signed for [default: AWS_REGION, the profile's, or us-east-1]
    #[arg(long)]
    pub region: Option<String>,
    /// The profile in ~/.aws [default: AWS_PROFILE]
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Believe endpoints only by the authorities in this PEM file [default: AWS_CA_BUNDLE, else the system's]
    #[arg(long, value_name = "FILE")]
    pub ca_bundle: Option<PathBuf>,
    /// Show this certificate to an endpoint that asks for one: PEM, with its chain
    #[arg(long, value_name = "FILE")]
    pub client_certificate: Option<PathBuf>,
    /// The key of --client-certificate: PEM, unencrypted
    #[arg(long, value_name = "FILE")]
    pub client_key: Option<PathBuf>,
    /// How a bucket is named in requests: path, virtual or auto
    #[arg(long, value_enum, default_value_t = Addressing::Auto, hide_possible_values = true, value_name = "HOW")]
    pub addressing: Addressing,
    /// A known provider, for its endpoint and its ways
    #[arg(long, value_name = "NAME")]
    pub provider: Option<String>,
    /// Mount only the keys that begin with this directory
    #[arg(long, value_name = "DIR")]
    pub prefix: Option<String>,
    /// How bytes are protected on their way: auto, crc64nvme, crc32c, md5, sha256 or none
    #[arg(long, value_enum, default_value_t = Checksum::Auto, hide_possible_values = true, value_name = "HOW")]
    pub checksum: Checksum,
    /// How requests to a wos:// source are signed: auto, legacy or current
    #[arg(long, value_enum, default_value_t = Signing::Auto, hide_possible_values = true, value_name = "HOW")]
    pub signature: Signing,
    /// The storage class of new objects [default: the store's]
    #[arg(long, value_name = "CLASS")]
    pub storage_class: Option<String>,
    /// Have objects encrypted by the store: AES256 or aws:kms with s3://, true with jss:// [default: the bucket's]
    #[arg(long, value_name = "VALUE")]
    pub server_side_encryption: Option<String>,
}

/// How objects look as files.
#[derive(Debug, Args)]
#[command(next_help_heading = "The files")]
pub struct FileArgs {
    /// Refuse every change
    #[arg(long)]
    pub read_only: bool,
    /// Let other users in, as far as modes allow (without root: user_allow_other in /etc/fuse.conf)
    #[arg(long)]
    pub allow_other: bool,
    /// The owner of files that do not say theirs [default: yours]
    #[arg(long)]
    pub uid: Option<u32>,
    /// The group of files that do not say theirs [default: yours]
    #[arg(long)]
    pub gid: Option<u32>,
    /// The mode of files that do not say theirs
    #[arg(long, value_name = "OCTAL", value_parser = parse_mode, default_value = "0644")]
    pub file_mode: u32,
    /// The mode of directories that do not say theirs
    #[arg(long, value_name = "OCTAL", value_parser = parse_mode, default_value = "0755")]
    pub dir_mode: u32,
    /// How long names and attributes are believed without asking the store again, such as 500ms or 1m
    #[arg(long, value_name = "TIME", value_parser = parse_time, default_value = "5s")]
    pub metadata_ttl: Duration,
}

/// How files are stored.
#[derive(Debug, Args)]
#[command(next_help_heading = "Uploads and memory")]
pub struct UploadArgs {
    /// The size of the first parts of a multipart upload; later ones grow
    #[arg(long, value_name = "SIZE", default_value = "8MiB")]
    pub part_size: ByteSize,
    /// How many parts of one file are sent at the same time
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub upload_concurrency: usize,
    /// The most memory for file contents under way
    #[arg(long, value_name = "SIZE", default_value = "128MiB")]
    pub memory_limit: ByteSize,
    /// When a closed file is safe: once it is in the bucket, or once it is in the journal on local disk, from where it goes
    /// into the bucket: bucket or journal
    #[arg(long, value_enum, default_value_t = Durability::Bucket, hide_possible_values = true, value_name = "WHERE")]
    pub durability: Durability,
    /// The local directory of the journal; without one, of what memory cannot hold of changed files [default: the journal's
    /// is beside --state-dir, the rest is in hidden objects of the bucket]
    #[arg(long, value_name = "DIR")]
    pub journal_dir: Option<PathBuf>,
    /// The most that the journal takes of its disk; writers wait beyond it
    #[arg(long, value_name = "SIZE", default_value = "10GiB")]
    pub journal_limit: ByteSize,
    /// Where uploads are remembered, to be cleaned up after a crash [default: /var/lib/brigade for root, else
    /// ~/.local/state/brigade]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Keep what is read in this local directory, for later and for the next mount; one mount at a time
    #[arg(long, value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
    /// The most that the cache takes of its disk; what was not read for longest goes first
    #[arg(long, value_name = "SIZE", default_value = "10GiB")]
    pub cache_limit: ByteSize,
}

/// What is told, and where. The level is in the environment: BRIGADE_LOG.
#[derive(Debug, Args)]
#[command(next_help_heading = "The log (how much: BRIGADE_LOG=error|warn|info|debug)")]
pub struct LogArgs {
    /// How lines are written: text, json, or journald for systemd's journal
    #[arg(long, value_enum, default_value_t = LogFormat::Text, hide_possible_values = true, value_name = "FORMAT")]
    pub log: LogFormat,
    /// Append the log to this file [default: the terminal, or nowhere in the background]
    #[arg(long, value_name = "PATH")]
    pub log_file: Option<PathBuf>,
}

/// `brigade check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// s3://BUCKET[/PREFIX], jss://.., wos://.., or local:PATH for a bucket kept in PATH
    pub source: String,
    /// Print one JSON document instead of lines
    #[arg(long)]
    pub json: bool,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// `brigade uploads`.
#[derive(Debug, Args)]
pub struct UploadsArgs {
    /// What to do with them.
    #[command(subcommand)]
    pub command: UploadsCommand,
}

/// The commands of `brigade uploads`.
#[derive(Debug, Subcommand)]
pub enum UploadsCommand {
    /// Show them: how old, how many bytes they cost, and whether a mount of this machine began them
    List(UploadsListArgs),
    /// Drop them with their parts; those of mounts that run only if they are named
    Abort(UploadsAbortArgs),
    /// Send what one lacks of a local file, and complete it
    Resume(UploadsResumeArgs),
}

/// Whose uploads.
#[derive(Debug, Args)]
pub struct UploadsPlaceArgs {
    /// s3://BUCKET[/PREFIX], jss://.., wos://.., or local:PATH for a bucket kept in PATH
    pub source: String,
    /// Where mounts remember their uploads [default: /var/lib/brigade for root, else ~/.local/state/brigade]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// `brigade uploads list`.
#[derive(Debug, Args)]
pub struct UploadsListArgs {
    /// Whose.
    #[command(flatten)]
    pub place: UploadsPlaceArgs,
    /// Print one JSON document instead of a table
    #[arg(long)]
    pub json: bool,
}

/// `brigade uploads abort`.
#[derive(Debug, Args)]
pub struct UploadsAbortArgs {
    /// Whose.
    #[command(flatten)]
    pub place: UploadsPlaceArgs,
    /// The ids of uploads
    #[arg(value_name = "UPLOAD")]
    pub uploads: Vec<String>,
    /// Those that were begun at least so long ago, such as 24h
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub older_than: Option<Duration>,
    /// All of them
    #[arg(long)]
    pub all: bool,
}

/// `brigade uploads resume`.
#[derive(Debug, Args)]
pub struct UploadsResumeArgs {
    /// Whose.
    #[command(flatten)]
    pub place: UploadsPlaceArgs,
    /// The id of the upload
    pub upload: String,
    /// The file that it is to store
    pub file: PathBuf,
}

/// `brigade umount`.
#[derive(Debug, Args)]
pub struct UmountArgs {
    /// The mount point
    pub dir: PathBuf,
    /// Unmount even if something cannot be stored; it is lost, and named
    #[arg(long)]
    pub force: bool,
    /// Give up after this time, such as 30s or 5m, and stay mounted [default: wait]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub timeout: Option<Duration>,
}

/// `brigade status`.
#[derive(Clone, Debug, Args)]
pub struct StatusArgs {
    /// The mount point [default: all that you have mounted]
    pub dir: Option<PathBuf>,
    /// Print one JSON document (docs/status.md)
    #[arg(long)]
    pub json: bool,
    /// Show it again every second, until q or Ctrl-C; with --json a document a line
    #[arg(long)]
    pub watch: bool,
}

/// `brigade log`.
#[derive(Debug, Args)]
pub struct LogCommandArgs {
    /// The mount point
    pub dir: PathBuf,
    /// How much is logged from now on: error, warn, info, debug or trace
    #[arg(long)]
    pub level: Option<String>,
    /// Whether every request of a program is a line from now on: on or off
    #[arg(long, value_enum, hide_possible_values = true, value_name = "SWITCH")]
    pub access: Option<Switch>,
}

/// The values of `log --access`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// Yes
    On,
    /// No
    Off,
}

/// `brigade upgrade`.
#[derive(Debug, Args)]
pub struct UpgradeArgs {
    /// The mount point
    pub dir: PathBuf,
}

/// `brigade serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The directory that keeps the buckets; made if missing
    pub data: PathBuf,
    /// The address to listen on
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:9000")]
    pub listen: SocketAddr,
    /// Make this bucket if it is missing; can be repeated
    #[arg(long = "bucket", value_name = "NAME")]
    pub buckets: Vec<String>,
    /// The region that it says it is in
    #[arg(long, default_value = "us-east-1")]
    pub region: String,
    /// Take the host name BUCKET.BASE for BUCKET, as BUCKET.localhost is; can be repeated
    #[arg(long = "domain", value_name = "BASE")]
    pub domains: Vec<String>,
    /// What a request speaks whose signature and host do not tell: s3, jss or wos
    #[arg(long, value_enum, default_value_t = ServeDialect::S3, hide_possible_values = true, value_name = "NAME")]
    pub dialect: ServeDialect,
    /// Hold clients to the vendors' narrowest rules, of single hosts, regions and pages
    #[arg(long)]
    pub strict: bool,
    /// Let in the key pairs of this file too, each for what it says there
    #[arg(long, value_name = "FILE")]
    pub users: Option<PathBuf>,
    /// Answer before the data is on the disk: faster, and lost in a power cut
    #[arg(long)]
    pub no_sync: bool,
    /// Do wrong on purpose what this plan says, to test clients (docs/faults.md)
    #[arg(long, value_name = "FILE")]
    pub faults: Option<PathBuf>,
    /// The log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// The values of `--addressing`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Addressing {
    /// As the provider prefers it
    Auto,
    /// ENDPOINT/BUCKET
    Path,
    /// BUCKET.ENDPOINT
    Virtual,
}

/// The values of `--checksum`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Checksum {
    /// As the provider prefers it
    Auto,
    /// CRC-64/NVME, kept with the object
    Crc64nvme,
    /// CRC-32C, kept with the object
    Crc32c,
    /// Content-MD5
    Md5,
    /// The signature covers the bytes
    Sha256,
    /// Nothing but the connection's own protection
    None,
}

/// The values of `--durability`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Durability {
    /// In the bucket
    Bucket,
    /// On local disk first
    Journal,
}

/// The values of `--signature`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Signing {
    /// As the provider prefers it
    Auto,
    /// WOS, by HMAC-SHA1
    Legacy,
    /// WOS-HMAC-SHA256
    Current,
}

/// The values of `serve --dialect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ServeDialect {
    /// Amazon's, and who follows it
    S3,
    /// JD Cloud's older API
    Jss,
    /// Wangsu's
    Wos,
}

/// The values of `--log`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
    /// Entries of systemd's journal
    Journald,
}

fn parse_mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        Ok(_) | Err(_) => Err("write an octal mode from 000 to 777, such as 0640".to_owned()),
    }
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let parsed = if text == "0" { Ok(jiff::SignedDuration::ZERO) } else { text.parse::<jiff::SignedDuration>() };
    let time = parsed.ok().and_then(|time| Duration::try_from(time).ok());
    time.ok_or_else(|| "write a time with its unit, such as 500ms, 30s or 5m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn modes_are_octal() {
        let rows =
            [("0644", Some(0o644)), ("0", Some(0)), ("777", Some(0o777)), ("1777", None), ("8", None), ("", None)];
        for (text, want) in rows {
            assert_eq!(parse_mode(text).ok(), want, "{text:?}");
        }
    }

    #[test]
    fn times_have_units() {
        let rows = [
            ("1s", Some(1000)),
            ("500ms", Some(500)),
            ("2m", Some(120_000)),
            ("0", Some(0)),
            ("5", None),
            ("-1s", None),
            ("soon", None),
        ];
        for (text, want) in rows {
            assert_eq!(parse_time(text).ok(), want.map(Duration::from_millis), "{text:?}");
        }
    }
}
