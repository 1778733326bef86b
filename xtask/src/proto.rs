//! `cargo xtask proto`: the messages and services of the gRPC API, made from its `.proto` files without
//! `protoc`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use prost::Message as _;
use prost_build::{Module, Service, ServiceGenerator};
use tonic_prost_build::FileDescriptorSet;

use crate::workspace;

const SOURCES: &str = "crates/grpc/proto";
const GENERATED: &str = "crates/grpc/src/generated";
const HEAD: &str = "// Made by `cargo xtask proto` from the files of `crates/grpc/proto`.\n";

/// The names of V2Ray, those of Xray in their place, and the exception among them.
const FAMILIES: [(&str, &str); 2] =
    [(".v2ray.core.app.observatory.", ".xray.core.app.observatory."), (".v2ray.core.app.", ".xray.app.")];

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Write nothing, and fail if a file is not what would be written.
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let root = workspace::root()?;
    let files = files(&root.join(SOURCES))?;
    let folder = root.join(GENERATED);
    for stray in stray(&folder, &files)? {
        if options.check {
            bail!("`{}` is made from nothing: run `cargo xtask proto`", stray.display());
        }
        fs::remove_file(&stray).with_context(|| format!("cannot remove `{}`", stray.display()))?;
    }
    for (name, content) in &files {
        let path = folder.join(name);
        if options.check {
            let committed = fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
            if committed != *content {
                bail!("`{GENERATED}/{name}` is stale: run `cargo xtask proto`");
            }
            continue;
        }
        fs::create_dir_all(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
        fs::write(&path, content).with_context(|| format!("cannot write `{}`", path.display()))?;
        println!("wrote {GENERATED}/{name}");
    }
    Ok(())
}

/// Files of the folder that are not among those that are made.
fn stray(folder: &Path, files: &BTreeMap<String, Vec<u8>>) -> Result<Vec<PathBuf>> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut stray = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read `{}`", folder.display()))?;
        if !files.contains_key(&*entry.file_name().to_string_lossy()) {
            stray.push(entry.path());
        }
    }
    stray.sort();
    Ok(stray)
}

/// Every file that is made, with its content.
fn files(sources: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut protos = Vec::new();
    for entry in fs::read_dir(sources).with_context(|| format!("cannot read `{}`", sources.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "proto") {
            protos.push(path);
        }
    }
    protos.sort();
    let set = protox::compile(&protos, [sources])?;
    let services = Rc::new(RefCell::new(BTreeMap::new()));
    let inner = tonic_prost_build::configure().build_client(false).build_transport(false).service_generator();
    let mut config = prost_build::Config::new();
    config.btree_map(["."]).service_generator(Box::new(Apart { inner, services: services.clone() }));
    let mut requests = Vec::new();
    for file in &set.file {
        requests.push((Module::from_protobuf_package_name(file.package()), file.clone()));
    }
    let messages = config.generate(requests)?;
    let mut files = BTreeMap::new();
    let mut tree = Tree::default();
    for (module, text) in messages {
        let name = module.to_file_name_or("root");
        tree.enter(&mut module.parts(), &name);
        files.insert(name, made(&text)?);
    }
    for (package, text) in services.borrow().iter() {
        let name = format!("{package}.service.rs");
        let module = Module::from_protobuf_package_name(package);
        tree.enter(&mut module.parts(), &name);
        files.insert(name, made(text)?);
    }
    let mut modules = HEAD.to_owned();
    tree.write(0, &mut modules)?;
    files.insert("mod.rs".to_owned(), modules.into_bytes());
    files.insert("descriptors.bin".to_owned(), both_families(set).encode_to_vec());
    Ok(files)
}

/// Keeps services out of the files of messages.
struct Apart {
    inner: Box<dyn ServiceGenerator>,
    /// By package.
    services: Rc<RefCell<BTreeMap<String, String>>>,
}

impl ServiceGenerator for Apart {
    fn generate(&mut self, service: Service, _messages: &mut String) {
        let package = service.package.clone();
        let mut text = String::new();
        self.inner.generate(service, &mut text);
        self.inner.finalize(&mut text);
        self.inner.finalize_package(&package, &mut text);
        self.services.borrow_mut().entry(package).or_default().push_str(&text);
    }
}

/// Formats a file, and takes out the lints that it is allowed: there is nothing that they would say.
fn made(text: &str) -> Result<Vec<u8>> {
    let formatted = prettyplease::unparse(&syn::parse_file(text)?);
    let mut made = HEAD.to_owned();
    let mut in_allow = false;
    for line in formatted.lines() {
        let begin = line.trim_start();
        let attribute = begin.strip_prefix("#![").or_else(|| begin.strip_prefix("#["));
        in_allow |= attribute.is_some_and(|attribute| attribute.starts_with("allow("));
        if !in_allow && !begin.starts_with("// This file is @generated") {
            made.push_str(line);
            made.push('\n');
        }
        in_allow &= !line.ends_with(")]");
    }
    Ok(made.into_bytes())
}

/// Modules with the files that they consist of.
#[derive(Default)]
struct Tree {
    files: Vec<String>,
    modules: BTreeMap<String, Tree>,
}

impl Tree {
    fn enter<'p>(&mut self, parts: &mut impl Iterator<Item = &'p str>, file: &str) {
        match parts.next() {
            Some(part) => self.modules.entry(part.to_owned()).or_default().enter(parts, file),
            None => {
                self.files.push(file.to_owned());
                self.files.sort();
            }
        }
    }

    fn write(&self, depth: usize, out: &mut String) -> Result<()> {
        let indent = "    ".repeat(depth);
        for file in &self.files {
            writeln!(out, "{indent}include!(\"{file}\");")?;
        }
        for (name, module) in &self.modules {
            writeln!(out, "{indent}pub mod {name} {{")?;
            module.write(depth + 1, out)?;
            writeln!(out, "{indent}}}")?;
        }
        Ok(())
    }
}

/// The services under the names of Xray as well, for clients that ask what there is.
fn both_families(mut set: FileDescriptorSet) -> FileDescriptorSet {
    let mut copies = Vec::new();
    for file in &mut set.file {
        file.source_code_info = None;
        let package = format!(".{}.", file.package());
        let renamed = of_xray(&package);
        if renamed == package {
            continue;
        }
        let mut copy = file.clone();
        copy.name = Some(format!("xray/{}", file.name()));
        copy.package = Some(renamed.trim_matches('.').to_owned());
        let messages = copy.message_type.iter_mut();
        let nested = messages.flat_map(|message| {
            let (fields, nested) = (&mut message.field, &mut message.nested_type);
            fields.iter_mut().chain(nested.iter_mut().flat_map(|message| &mut message.field))
        });
        let field_types = nested.filter_map(|field| field.type_name.as_mut());
        let methods = copy.service.iter_mut().flat_map(|service| &mut service.method);
        let method_types =
            methods.flat_map(|method| method.input_type.iter_mut().chain(&mut method.output_type));
        field_types.chain(method_types).for_each(|name| *name = of_xray(name));
        copies.push(copy);
    }
    set.file.extend(copies);
    set
}

fn of_xray(name: &str) -> String {
    let found = FAMILIES.iter().find_map(|(v2ray, xray)| Some((xray, name.strip_prefix(v2ray)?)));
    found.map_or_else(|| name.to_owned(), |(xray, rest)| format!("{xray}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_files_are_what_would_be_written() {
        run(&Options { check: true }).unwrap();
    }

    #[test]
    fn every_service_is_there_under_both_names() {
        let files = files(&workspace::root().unwrap().join(SOURCES)).unwrap();
        let set = FileDescriptorSet::decode(&*files["descriptors.bin"]).unwrap();
        let with_services = set.file.iter().filter(|file| !file.service.is_empty());
        let packages: Vec<&str> = with_services.map(|file| file.package()).collect();
        assert_eq!(packages.len(), 10, "{packages:?}");
        assert!(packages.contains(&"xray.core.app.observatory.command"));
        assert!(packages.contains(&"xray.app.router.command"));
    }

    #[test]
    fn what_is_left_out_of_the_tree_is_found() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("old.rs"), "").unwrap();
        fs::write(folder.path().join("mod.rs"), "").unwrap();
        let files = BTreeMap::from([("mod.rs".to_owned(), Vec::new())]);
        assert_eq!(stray(folder.path(), &files).unwrap(), [folder.path().join("old.rs")]);
    }
}
