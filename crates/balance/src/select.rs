use waypost_net::Tag;

/// The tags that begin with one of `prefixes`, sorted and each once: the selector of a V2Ray balancer.
#[must_use]
pub fn select<P: AsRef<str>>(prefixes: &[P], tags: &[Tag]) -> Vec<Tag> {
    let chosen = |tag: &&Tag| prefixes.iter().any(|prefix| tag.starts_with(prefix.as_ref()));
    let mut members: Vec<Tag> = tags.iter().filter(chosen).cloned().collect();
    members.sort();
    members.dedup();
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(names: &[&str]) -> Vec<Tag> {
        names.iter().map(|&name| Tag::from(name)).collect()
    }

    #[test]
    fn selectors_are_prefixes() {
        let outbounds = tags(&["us1", "jp1", "jp2", "jp10", "hk1", "direct"]);
        assert_eq!(select(&["jp1", "jp2"], &outbounds), tags(&["jp1", "jp10", "jp2"]));
        assert_eq!(select(&[""], &tags(&["b", "a"])), tags(&["a", "b"]));
        assert_eq!(select(&["a", "ab"], &tags(&["a", "ab"])), tags(&["a", "ab"]));
        assert_eq!(select(&["z"], &tags(&["z1", "z0", "z2"])), tags(&["z0", "z1", "z2"]));
        assert!(select(&["JP"], &outbounds).is_empty());
    }
}
