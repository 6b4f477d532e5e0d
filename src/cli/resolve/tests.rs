//! What arguments, environment and defaults come to.

use super::*;
use crate::cli::args::Cli;
use crate::cli::args::Command;
use clap::Parser;

fn plan(typed: &str, environment: &Environment) -> Result<Plan, Failure> {
    match Cli::try_parse_from(typed.split(' ')).unwrap().command {
        Command::Mount(args) => mount(&args, environment),
        other => panic!("{other:?}"),
    }
}

fn planned(typed: &str) -> Plan {
    plan(typed, &Environment::default()).unwrap()
}

#[test]
fn values_out_of_range_are_refused_by_name() {
    let rows = [
        ("s3://b m --part-size 1MiB", "--part-size 1 MiB is too small; here it is at least 5 MiB"),
        ("s3://b m --part-size 6GiB --memory-limit 1T", "--part-size 6 GiB is too large; it is at most 5 GiB"),
        ("s3://b m --part-size 64MiB", "--memory-limit 128 MiB is too small; here it is at least 192 MiB"),
        ("s3://b m --upload-concurrency 0", "--upload-concurrency 0 is too small"),
        ("s3://b m --cache-limit 1MiB", "--cache-limit 1 MiB is too small; here it is at least 64 MiB"),
        ("s3://b m --timeout 10ms", "--timeout must be between 1 and 3600 seconds"),
        ("s3://b m --endpoint-url localhost:9000", "--endpoint-url: \"localhost:9000\" is not an endpoint"),
        ("s3://b m --provider nowhere", "--provider \"nowhere\" is not known; use one of s3, aws"),
        ("jss://b m --checksum crc64nvme", "--checksum crc64nvme does not exist in JSS; use auto, md5, none"),
        ("s3://b/a m --prefix c", "both name a prefix"),
        ("s3://b m --client-certificate c", "--client-certificate needs --client-key as well"),
        ("s3://b m --client-key k", "--client-key needs --client-certificate as well"),
        ("s3://b m --faults f", "--faults goes with a local: source"),
        ("local:d m --faults /proc/none", "cannot read the plan of faults /proc/none"),
        ("gs://b m", "SOURCE \"gs://b\": not a source; write s3://BUCKET"),
        ("b m", "SOURCE \"b\": not a source; write s3://BUCKET"),
    ];
    for (typed, want) in rows {
        match plan(&format!("brigade mount {typed}"), &Environment::default()) {
            Err(Failure::Usage(line)) => assert!(line.contains(want), "{typed}: {line}"),
            other => panic!("{typed}: {other:?}"),
        }
    }
}

#[test]
fn what_is_stored_waits_for_the_store_unless_the_mount_is_soft() {
    let seconds = Duration::from_secs;
    let rows = [
        ("s3://b m", Outage::Wait, 60, 30),
        ("s3://b m --soft", Outage::Fail, 60, 30),
        ("s3://b m --soft --hard --timeout 5m", Outage::Wait, 300, 30),
        ("s3://b m --hard --soft --timeout 5s", Outage::Fail, 5, 5),
    ];
    for (typed, outage, total, patience) in rows {
        let plan = planned(&format!("brigade mount {typed}"));
        assert_eq!((plan.policy.outage, plan.policy.total), (outage, seconds(total)), "{typed}");
        assert_eq!(plan.endpoint.patience, seconds(patience), "{typed}");
    }
}

#[test]
fn what_is_not_typed_is_as_the_layers_have_it() {
    let (plan, default) = (planned("brigade mount s3://b m").vfs, vfs::Options::default());
    assert_eq!(
        (plan.metadata_ttl, plan.file_mode, plan.dir_mode, plan.part_bytes),
        (default.metadata_ttl, default.file_mode, default.dir_mode, default.part_bytes)
    );
    assert_eq!(
        (plan.upload_concurrency, plan.memory_limit, plan.read_only, plan.storage_class),
        (default.upload_concurrency, default.memory_limit, default.read_only, default.storage_class)
    );
}

#[test]
fn a_prefix_is_the_same_however_it_is_said() {
    for typed in ["s3://b/a/c m", "s3://b m --prefix a/c", "s3://b/ m --prefix /a/c/"] {
        let plan = planned(&format!("brigade mount {typed}"));
        assert_eq!((plan.vfs.prefix.as_str(), plan.fuse.fs_name.as_str()), ("a/c/", "s3://b/a/c"), "{typed}");
    }
    assert_eq!(planned("brigade mount local:/d m --prefix a").vfs.prefix, "a/");
}

#[test]
fn relative_data_is_meant_from_here() {
    let here = std::env::current_dir().unwrap();
    assert_eq!(planned("brigade mount local:data m").source, Source::Local { data: here.join("data") });
    assert_eq!(planned("brigade mount s3://b m").vfs.journal_dir, None);
    assert_eq!(planned("brigade mount s3://b m --journal-dir j").vfs.journal_dir, Some(here.join("j")));
    assert_eq!(planned("brigade mount s3://b m --cache-dir c").cache_dir, Some(here.join("c")));
}

#[test]
fn an_option_has_the_last_word_over_the_environment() {
    let environment = Environment { endpoint_url: Some("http://e".into()), ..Environment::default() };
    assert_eq!(plan("brigade mount s3://b m", &environment).unwrap().endpoint.url.unwrap().to_string(), "http://e");
    let typed = "brigade mount s3://b m --endpoint-url http://o";
    assert_eq!(plan(typed, &environment).unwrap().endpoint.url.unwrap().to_string(), "http://o");
}

#[test]
fn state_is_kept_where_a_users_programs_keep_it() {
    let (home, state, relative) = (Some("/h".into()), Some("/s".into()), Some("s".into()));
    let at = |uid, home: &Option<PathBuf>, state_home: &Option<PathBuf>| {
        let environment = Environment { home: home.clone(), state_home: state_home.clone(), ..Environment::default() };
        state_dir(uid, &environment)
    };
    let rows = [
        (at(1, &home, &None), Some("/h/.local/state/brigade")),
        (at(1, &home, &state), Some("/s/brigade")),
        (at(1, &home, &relative), Some("/h/.local/state/brigade")),
        (at(1, &None, &None), None),
        (at(0, &home, &None), Some("/var/lib/brigade")),
        (at(0, &home, &state), Some("/s/brigade")),
    ];
    for (nth, (found, want)) in rows.into_iter().enumerate() {
        assert_eq!(found, want.map(PathBuf::from), "row {nth}");
    }
}

#[test]
fn serve_takes_both_keys_or_neither_and_shows_no_secret() {
    let environment = |id: Option<&str>, secret: Option<&str>| Environment {
        access_key_id: id.map(str::to_owned),
        secret_access_key: secret.map(|secret| Secret(secret.to_owned())),
        ..Environment::default()
    };
    assert!(serve_keys(&environment(None, None)).unwrap().is_none());
    assert!(serve_keys(&environment(Some("id"), Some("hush"))).unwrap().is_some());
    assert!(matches!(serve_keys(&environment(Some("id"), None)), Err(Failure::Usage(_))));
    assert!(matches!(serve_keys(&environment(None, Some("hush"))), Err(Failure::Usage(_))));
    assert!(!format!("{:?}", environment(Some("id"), Some("hush"))).contains("hush"));
}
