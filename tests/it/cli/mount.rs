//! What `brigade mount` refuses before it mounts.

use crate::backend::Backend;
use crate::program::brigade;
use crate::program::run;
use std::fs;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// A home with an empty directory `mnt` to mount on.
fn home() -> TempDir {
    let home = TempDir::new().unwrap();
    fs::create_dir(home.path().join("mnt")).unwrap();
    home
}

fn mount(home: &Path, arguments: &str) -> Command {
    let mut command = brigade(home);
    command.current_dir(home).arg("mount").args(arguments.split(' '));
    command
}

/// A command that reaches the backend, and which a test then spoils.
fn mount_at(backend: &Backend, home: &Path, arguments: &str) -> Command {
    let mut command = mount(home, arguments);
    backend.reach(&mut command);
    command
}

#[test]
fn wrong_usage_is_one_line_and_status_2() {
    let home = home();
    let rows: &[(&str, &[&str])] = &[
        ("s3://bucket mnt --regoin x", &["--regoin", "--region"]),
        ("s3://bucket mnt --part-size 8parsecs", &["8parsecs", "--part-size", "parsecs", "KiB"]),
        ("s3://bucket mnt --part-size 1", &["--part-size 1 B is too small", "5 MiB"]),
        ("s3://bucket mnt -o colour=red", &["\"colour\""]),
        ("s3://bucket", &["<DIR>"]),
        ("gs://bucket mnt", &["\"gs://bucket\"", "jss://BUCKET", "wos://BUCKET"]),
        ("jss://bucket mnt --provider aws", &["--provider aws speaks S3", "write s3://bucket"]),
        ("jss://bucket mnt --checksum crc64nvme", &["--checksum crc64nvme", "JSS", "auto, md5, none"]),
        ("wos://bucket mnt --signature legacy --checksum sha256", &["--checksum sha256", "legacy", "md5"]),
        ("s3://bucket mnt --signature current", &["--signature", "wos://"]),
        ("wos://bucket mnt --server-side-encryption AES256", &["--server-side-encryption", "WOS"]),
        ("s3://bucket mnt --provider minio", &["--provider minio", "--endpoint-url"]),
        ("bucket mnt", &["\"bucket\"", "s3://BUCKET", "local:PATH"]),
        ("local: mnt", &["data directory"]),
    ];
    for (arguments, says) in rows {
        run(&mut mount(home.path(), arguments)).refused(2, says);
    }
    run(mount(home.path(), "s3://bucket mnt").env("BRIGADE_LOG", "=loud=").arg("-f"))
        .refused(2, &["BRIGADE_LOG", "=loud="]);
    run(mount(home.path(), "s3://bucket mnt").env("BRIGADE_LOG", "loud").arg("-f")).refused(2, &["\"loud\"", "debug"]);
}

#[test]
fn an_unfit_mount_point_is_named_with_the_reason() {
    let home = home();
    fs::write(home.path().join("file"), "").unwrap();
    fs::create_dir_all(home.path().join("full/inner")).unwrap();
    for foreground in ["", " -f"] {
        let refused = |dir: &str, says: &[&str]| {
            run(&mut mount(home.path(), &format!("local:data {dir}{foreground}"))).refused(1, says);
        };
        refused("missing", &["mount point missing does not exist", "mkdir missing"]);
        refused("file", &["mount point file is not a directory"]);
        refused("full", &["mount point full is not empty"]);
    }
    assert!(!home.path().join("data").exists(), "nothing is made for a mount that cannot be");
}

#[test]
fn data_inside_of_the_mount_point_is_refused() {
    let home = home();
    let ran = run(&mut mount(home.path(), "local:mnt/data mnt"));
    ran.refused(1, &["mnt/data lies inside the mount point", "two separate directories"]);
    assert!(!home.path().join("mnt/data").exists());
}

#[test]
fn a_data_directory_that_cannot_be_made_is_named() {
    let home = home();
    fs::write(home.path().join("file"), "").unwrap();
    run(&mut mount(home.path(), "local:file/data mnt")).refused(1, &["file/data"]);
    run(&mut mount(home.path(), "local:file mnt")).refused(1, &["file"]);
    run(&mut mount(home.path(), "local:/proc/data mnt")).refused(1, &["/proc/data"]);
}

#[test]
fn an_unknown_bucket_is_named() {
    let (backend, home) = (Backend::start(), home());
    let says = ["bucket \"nothere\" does not exist", &backend.endpoint(), "create it"];
    run(&mut mount_at(&backend, home.path(), "s3://nothere mnt")).refused(1, &says);
    run(mount_at(&backend, home.path(), "s3://nothere mnt -f").env("BRIGADE_LOG", "off")).refused(1, &says);
}

#[test]
fn a_wrong_key_and_a_wrong_secret_are_refused_and_not_repeated() {
    let (backend, home) = (Backend::start(), home());
    let says = ["refused the credentials", &backend.endpoint(), "AWS_ACCESS_KEY_ID"];
    let mut command = mount_at(&backend, home.path(), "s3://bucket mnt");
    run(command.env("AWS_ACCESS_KEY_ID", "AKIDWRONG")).refused(1, &says);

    let mut command = mount_at(&backend, home.path(), "s3://bucket mnt");
    let ran = run(command.env("AWS_SECRET_ACCESS_KEY", "not the secret"));
    ran.refused(1, &says);
    assert!(!ran.stderr.contains("not the secret"), "{ran:?}");
}

#[test]
fn missing_credentials_say_where_they_are_looked_for_and_nothing_else() {
    let (backend, home) = (Backend::start(), home());
    let mut command = mount_at(&backend, home.path(), "s3://bucket mnt");
    run(command.env_remove("AWS_ACCESS_KEY_ID")).refused(1, &["credentials", "AWS_ACCESS_KEY_ID"]);
}

#[test]
fn an_endpoint_where_nobody_listens_fails_at_once() {
    let home = home();
    // Taken and let go, so that nobody listens there.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = mount(home.path(), &format!("s3://bucket mnt --endpoint-url http://{address}"));
    command.env("AWS_ACCESS_KEY_ID", "a").env("AWS_SECRET_ACCESS_KEY", "b");
    let begun = brigade::base::clock::monotonic();
    run(&mut command).refused(1, &["cannot reach", &address.to_string(), "--endpoint-url"]);
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[test]
fn an_endpoint_that_never_answers_is_given_up_within_fifteen_seconds() {
    let home = home();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut command = mount(home.path(), &format!("s3://bucket mnt --endpoint-url http://{address}"));
    command.env("AWS_ACCESS_KEY_ID", "a").env("AWS_SECRET_ACCESS_KEY", "b");
    let begun = brigade::base::clock::monotonic();
    run(&mut command).refused(1, &[&address.to_string(), "no answer", "--endpoint-url"]);
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    drop(listener);
}

#[test]
fn an_endpoint_that_is_not_s3_is_told_from_one_that_is() {
    let answers = [
        (
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 20\r\n\r\n<html>hello</html>\r\n",
            "a web server",
        ),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot found", "a web server without that page"),
        ("SSH-2.0-OpenSSH_9.6\r\n", "another protocol"),
    ];
    for (answer, what) in answers {
        let home = home();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // Ends with the test process; the program decides how often it asks.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        let mut command = mount(home.path(), &format!("s3://bucket mnt --endpoint-url http://{address}"));
        command.env("AWS_ACCESS_KEY_ID", "a").env("AWS_SECRET_ACCESS_KEY", "b");
        let ran = run(&mut command);
        ran.refused(1, &[&address.to_string(), "--endpoint-url"]);
        let told = ran.stderr.contains("does not answer as an S3 endpoint") || ran.stderr.contains("cannot reach");
        assert!(told, "{what}: {ran:?}");
        assert!(!ran.stderr.contains("create it"), "{what} is not a missing bucket: {ran:?}");
    }
}

#[test]
fn an_unknown_profile_and_provider_are_named() {
    let (backend, home) = (Backend::start(), home());
    let mut command = mount_at(&backend, home.path(), "s3://bucket mnt --profile nobody");
    run(&mut command).refused(1, &["nobody"]);
    let mut command = mount_at(&backend, home.path(), "s3://bucket mnt --provider nowhere");
    run(&mut command).refused(2, &["--provider", "nowhere", "aws"]);
}
