//! The page that is built in, and the folder of another one.

use std::os::unix::fs::symlink;

use crate::world::World;

#[tokio::test]
async fn the_built_in_page_is_served_to_everybody() {
    let world = World::start().await;
    for (name, content_type) in [
        ("", "text/html; charset=utf-8"),
        ("index.html", "text/html; charset=utf-8"),
        ("app.js", "text/javascript; charset=utf-8"),
        ("app.css", "text/css; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ] {
        let reply = world.stranger("GET", &format!("/ui/{name}")).send().await;
        assert_eq!((reply.status, reply.header("content-type")), (200, Some(content_type)), "{name}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("cache-control"), Some("no-cache"));
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        let tag = reply.header("etag").unwrap();
        for known in [tag, "*", &format!("\"x\", {tag}"), &format!("W/{tag}")] {
            let again = world.stranger("GET", &format!("/ui/{name}")).header("If-None-Match", known);
            let again = again.send().await;
            assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, Some(tag)));
        }
        let other = world.stranger("GET", &format!("/ui/{name}")).header("If-None-Match", "\"x\"");
        assert_eq!(other.status().await, 200);
    }
    assert_eq!(world.stranger("GET", "/ui/other.js").status().await, 404);
    assert_eq!(world.stranger("GET", "/ui/../configs").status().await, 404);
}

#[tokio::test]
async fn a_browser_is_sent_to_the_page() {
    let world = World::start().await;
    let reply = world.stranger("GET", "/ui").send().await;
    assert_eq!((reply.status, reply.header("location")), (307, Some("/ui/")));
    let reply = world.stranger("GET", "/").header("Accept", "text/html,*/*").send().await;
    assert_eq!((reply.status, reply.header("location")), (307, Some("/ui/")));
    assert_eq!(world.stranger("GET", "/").status().await, 401);
}

#[tokio::test]
async fn the_folder_of_another_page_is_served_and_nothing_beside_it() {
    let files = tempfile::tempdir().unwrap();
    let root = files.path().join("page");
    std::fs::create_dir_all(root.join("assets/deep")).unwrap();
    std::fs::write(files.path().join("secret.txt"), "outside").unwrap();
    std::fs::write(root.join("index.html"), "<p>front").unwrap();
    std::fs::write(root.join("assets/a b.js"), vec![b'x'; 200_000]).unwrap();
    std::fs::write(root.join("assets/deep/index.html"), "<p>deep").unwrap();
    std::fs::write(root.join(".env"), "hidden").unwrap();
    symlink(files.path().join("secret.txt"), root.join("link.txt")).unwrap();
    symlink(files.path(), root.join("up")).unwrap();
    symlink(root.join("index.html"), root.join("inside.html")).unwrap();
    nix_fifo(&root.join("pipe"));

    let world = World::with(&|settings| settings.external_ui = Some(root.clone())).await;
    let get = async |path: &str| world.stranger("GET", path).send().await;
    let front = get("/ui/").await;
    assert_eq!((front.status, &*front.text()), (200, "<p>front"));
    assert_eq!(front.header("content-security-policy"), None);
    assert_eq!(get("/ui/inside.html").await.text(), "<p>front");
    assert_eq!(get("/ui/assets/deep/").await.text(), "<p>deep");
    let script = get("/ui/assets/a%20b.js").await;
    assert_eq!((script.status, script.body.len()), (200, 200_000));
    assert_eq!(script.header("content-type"), Some("text/javascript; charset=utf-8"));
    assert_eq!(script.header("x-content-type-options"), Some("nosniff"));
    let tag = script.header("etag").unwrap();
    let again = world.stranger("GET", "/ui/assets/a%20b.js").header("If-None-Match", tag).send().await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    std::fs::write(root.join("assets/a b.js"), "new").unwrap();
    let changed = world.stranger("GET", "/ui/assets/a%20b.js").header("If-None-Match", tag).send().await;
    assert_eq!((changed.status, &*changed.text()), (200, "new"));
    let head = world.stranger("HEAD", "/ui/").send().await;
    assert_eq!((head.status, head.body.len(), head.header("content-length")), (200, 0, Some("8")));

    for path in [
        "/ui/none.js",
        "/ui/.env",
        "/ui/link.txt",
        "/ui/up/secret.txt",
        "/ui/up",
        "/ui/../secret.txt",
        "/ui/%2e%2e/secret.txt",
        "/ui/..%2fsecret.txt",
        "/ui/%2e%2e%2fsecret.txt",
        "/ui/assets/..%5c..%5csecret.txt",
        "/ui/assets/../../secret.txt",
        "/ui//etc/passwd",
        "/ui/%2fetc%2fpasswd",
        "/ui/index.html%00.js",
        "/ui/%ff",
        "/ui/assets",
        "/ui/pipe",
        "/ui/index.html/",
    ] {
        let reply = get(path).await;
        assert_eq!(reply.status, 404, "{path}: {}", reply.text());
        assert!(!reply.text().contains("outside") && !reply.text().contains("hidden"));
    }
    assert_eq!(world.get("/").send().await.header("location"), Some("/ui/"));
    assert_eq!(world.get("/").header("Content-Type", "application/json").status().await, 200);
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_told_before_anything_listens() {
    let listen = waypost_api::ListenOn::Tcp("127.0.0.1:0".parse().unwrap());
    let secret = Some(waypost_net::Secret::new("x"));
    let mut settings = waypost_api::ApiSettings::new(listen, secret, "/".into());
    settings.external_ui = Some("/no/such/folder".into());
    let error = waypost_api::Api::bind(settings).await.unwrap_err();
    assert_eq!(error.to_string(), "`/no/such/folder`, the folder of the web page, cannot be read");
}

/// A pipe that nobody writes to: to open it would take for ever.
fn nix_fifo(path: &std::path::Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}
