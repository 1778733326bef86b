use tempfile::TempDir;

use super::*;

fn settings(path: &Path, id: &str) -> CacheFile {
    CacheFile { path: path.to_str().map(Into::into), id: Some(id.into()) }
}

fn open(path: &Path) -> Cache {
    Cache::open(Some(&settings(path, "")))
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache.db");
    (folder, path)
}

fn names(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

async fn select(cache: &Cache, group: &str, member: &str) {
    cache.keep_selected(&Tag::from(group), &Tag::from(member)).await;
}

fn selected(cache: &Cache, group: &str) -> Option<String> {
    cache.selected(&Tag::from(group)).map(|member| member.to_string())
}

#[tokio::test]
async fn choices_are_there_after_a_restart() {
    let (folder, path) = folder();
    let cache = open(&path);
    assert_eq!((selected(&cache, "pick"), cache.mode()), (None, None));
    select(&cache, "pick", "node \"a\"").await;
    select(&cache, "other", "node-b").await;
    select(&cache, "pick", "düne").await;
    cache.keep_mode("Global").await;
    let again = open(&path);
    assert_eq!(selected(&again, "pick").as_deref(), Some("düne"));
    assert_eq!(selected(&again, "other").as_deref(), Some("node-b"));
    assert_eq!(again.mode().as_deref(), Some("Global"));
    assert_eq!(names(&folder), ["cache.db"], "no draft is left");
    assert_eq!(rule_sets_folder(&settings(&path, "")), folder.path().join("cache.db.rule-sets"));
}

#[tokio::test]
async fn configurations_that_share_a_file_keep_what_the_others_have() {
    let (_folder, path) = folder();
    let (one, other) =
        (Cache::open(Some(&settings(&path, "one"))), Cache::open(Some(&settings(&path, "other"))));
    select(&one, "pick", "a").await;
    select(&other, "pick", "b").await;
    select(&one, "more", "c").await;
    for (id, expected) in [("one", Some("a")), ("other", Some("b")), ("third", None)] {
        let cache = Cache::open(Some(&settings(&path, id)));
        assert_eq!(selected(&cache, "pick").as_deref(), expected, "{id}");
    }
}

#[tokio::test]
async fn the_file_of_another_program_is_left_alone() {
    let (folder, path) = folder();
    let theirs = [0_u8, 0, 0, 0, 0xed, 0xda, 0x0c, 0xed];
    fs::write(&path, theirs).unwrap();
    let cache = open(&path);
    select(&cache, "pick", "a").await;
    assert_eq!(fs::read(&path).unwrap(), theirs);
    assert_eq!(names(&folder), ["cache.db", "cache.db.waypost"]);
    assert_eq!(selected(&open(&path), "pick").as_deref(), Some("a"));
}

#[tokio::test]
async fn a_file_that_another_program_makes_meanwhile_is_left_alone() {
    let (_folder, path) = folder();
    let cache = open(&path);
    fs::write(&path, "theirs").unwrap();
    select(&cache, "pick", "a").await;
    assert_eq!(fs::read(&path).unwrap(), b"theirs");
    assert_eq!(selected(&cache, "pick").as_deref(), Some("a"), "it holds until the end");
}

#[tokio::test]
async fn a_broken_file_is_replaced() {
    for broken in ["waypost cache 1\n{\"\": {\"sel", "waypost cache 1\n[]", "", "waypost cache 1\n{\"\": 7}"]
    {
        let (_folder, path) = folder();
        fs::write(&path, broken).unwrap();
        let cache = open(&path);
        assert_eq!(selected(&cache, "pick"), None, "{broken}");
        select(&cache, "pick", "a").await;
        assert_eq!(selected(&open(&path), "pick").as_deref(), Some("a"), "{broken}");
    }
}

#[tokio::test]
async fn what_is_too_large_is_not_read() {
    let (_folder, path) = folder();
    let long = "x".repeat(usize::try_from(MAX_FILE_BYTES).unwrap());
    fs::write(&path, format!("{SIGNATURE}{{\"\": {{\"clash_mode\": \"{long}\"}}}}")).unwrap();
    assert_eq!(open(&path).mode(), None);
}

#[tokio::test]
async fn a_choice_holds_where_nothing_can_be_written() {
    let (folder, _) = folder();
    let cache = open(&folder.path().join("missing/cache.db"));
    select(&cache, "pick", "a").await;
    assert_eq!(selected(&cache, "pick").as_deref(), Some("a"));
    let forgetful = Cache::open(None);
    select(&forgetful, "pick", "a").await;
    assert_eq!(selected(&forgetful, "pick").as_deref(), Some("a"));
}
