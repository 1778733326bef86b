//! Lists of IP prefixes as text.

use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result, bail};
use ipnet::IpNet;
use waypost_geodata::IpEntry;

/// Reads every `NAME.txt` of a folder into the list `NAME`, sorted by code.
pub(crate) fn read_folder(folder: &Path) -> Result<Vec<IpEntry>> {
    let files = std::fs::read_dir(folder).with_context(|| format!("cannot read `{}`", folder.display()))?;
    let mut entries = Vec::new();
    for file in files {
        let path = file.with_context(|| format!("cannot read `{}`", folder.display()))?.path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        let name = path.file_stem().and_then(|stem| stem.to_str());
        let code = name
            .with_context(|| format!("`{}`: the name is not UTF-8", path.display()))?
            .to_ascii_uppercase();
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let prefixes = parse(&text, &path.display().to_string())?;
        entries.push(IpEntry { code, prefixes });
    }
    if entries.is_empty() {
        bail!("`{}`: no .txt file", folder.display());
    }
    entries.sort_by(|left, right| left.code.cmp(&right.code));
    Ok(entries)
}

/// Parses one prefix or address a line, and returns them sorted and without duplicates.
fn parse(text: &str, file: &str) -> Result<Vec<IpNet>> {
    let mut prefixes = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let prefix = line.parse::<IpNet>().ok().or_else(|| line.parse::<IpAddr>().ok().map(IpNet::from));
        let prefix = prefix.with_context(|| {
            format!("{file}:{}: expected an IP prefix or address, found `{line}`", index + 1)
        })?;
        prefixes.push(prefix.trunc());
    }
    prefixes.sort_unstable();
    prefixes.dedup();
    Ok(prefixes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_prefixes_and_removes_duplicates_and_host_bits() {
        let text = "# comment\n\n2001:db8::1 # one address\n10.1.2.3/8\n192.0.2.1\n10.0.0.0/8\n";
        let prefixes: Vec<String> = parse(text, "x").unwrap().iter().map(IpNet::to_string).collect();
        assert_eq!(prefixes, ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::1/128"]);
    }

    #[test]
    fn an_error_names_file_and_line() {
        let error = parse("10.0.0.0/8\n10.0.0.0/33\n", "CN.txt").unwrap_err();
        assert_eq!(error.to_string(), "CN.txt:2: expected an IP prefix or address, found `10.0.0.0/33`");
    }

    #[test]
    fn reads_only_text_files_and_sorts_them_by_code() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("us.txt", "10.0.0.0/8"), ("CN.txt", "::/0"), ("README.md", "no prefix")] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let entries = read_folder(folder.path()).unwrap();
        assert_eq!(entries.iter().map(|entry| entry.code.as_str()).collect::<Vec<_>>(), ["CN", "US"]);
    }

    #[test]
    fn a_folder_without_lists_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read_folder(folder.path()).unwrap_err().to_string().ends_with("no .txt file"));
    }
}
