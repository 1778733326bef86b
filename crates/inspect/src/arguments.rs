use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, builder::NonEmptyStringValueParser, value_parser};
use waypost_config::{Dialect, model::LoadBalanceStrategy};
use waypost_geodata::rule_set::NEWEST_VERSION;
use waypost_net::Host;

/// What the command line offers.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Look into geosite.dat, geoip.dat and country databases, and make rule sets of their lists.
    #[command(subcommand)]
    Geo(Geo),
    /// Look into rule sets of sing-box, and make them.
    #[command(subcommand)]
    RuleSet(RuleSetCommand),
    /// Write a configuration in the other dialect, and list what that cannot say.
    Convert(Convert),
    /// Turn share links and subscriptions into a configuration, or outbounds into links.
    Link(Link),
}

/// How links become a configuration, and outbounds links.
#[derive(Debug, Args)]
pub struct Link {
    /// Links, files of links, `-` for standard input, or the http(s) URLs of subscriptions.
    ///
    /// A file has links one a line, base64 of that, `proxies` of Clash, or a configuration.
    #[arg(value_name = "FILE|URL|LINK", required = true)]
    pub(crate) inputs: Vec<String>,
    /// What is written: v2ray, sing-box or links.
    #[arg(long, value_name = "FORM", value_parser = link_form, default_value = "v2ray")]
    pub(crate) to: LinkForm,
    /// The tag of the group.
    #[arg(long, value_name = "TAG", default_value = "auto", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) group: String,
    /// Which member of the group a connection takes [default: least_ping].
    #[arg(long, value_name = "WORD", value_parser = strategy)]
    pub(crate) strategy: Option<LoadBalanceStrategy>,
    /// Write the outbounds alone, without a port and a group.
    #[arg(long, conflicts_with_all = ["group", "strategy"])]
    pub(crate) outbounds_only: bool,
    /// Write nothing if one of the links cannot be used.
    #[arg(long)]
    pub(crate) strict: bool,
    /// Where the result goes; without it to standard output. Only its owner can read a new file.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// What `waypost link` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkForm {
    /// A configuration.
    Dialect(Dialect),
    /// Links, one a line.
    Links,
}

fn link_form(word: &str) -> Result<LinkForm, String> {
    if word.eq_ignore_ascii_case("links") {
        return Ok(LinkForm::Links);
    }
    dialect(word)
        .map(LinkForm::Dialect)
        .map_err(|_unknown| "expected `v2ray`, `sing-box` or `links`".to_owned())
}

fn strategy(word: &str) -> Result<LoadBalanceStrategy, String> {
    const WORDS: [(&str, LoadBalanceStrategy); 5] = [
        ("random", LoadBalanceStrategy::Random),
        ("round_robin", LoadBalanceStrategy::RoundRobin),
        ("least_conn", LoadBalanceStrategy::LeastConn),
        ("least_ping", LoadBalanceStrategy::LeastPing),
        ("failover", LoadBalanceStrategy::Failover),
    ];
    let plain = |word: &str| word.replace(['-', '_'], "").to_ascii_lowercase();
    let found = WORDS.into_iter().find(|(known, _)| plain(known) == plain(word));
    let expected = "expected `random`, `round_robin`, `least_conn`, `least_ping` or `failover`";
    found.map(|(_, strategy)| strategy).ok_or_else(|| expected.to_owned())
}

/// How a configuration is written in the other dialect.
#[derive(Debug, Args)]
pub struct Convert {
    /// The dialect of the result: v2ray or sing-box.
    #[arg(long, value_name = "DIALECT", value_parser = dialect)]
    pub(crate) to: Dialect,
    /// Configuration files, or folders of them.
    #[arg(value_name = "FILE", required_unless_present = "config")]
    pub(crate) paths: Vec<PathBuf>,
    /// The same; may be repeated.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Vec<PathBuf>,
    /// Where the result goes; without it to standard output. Only its owner can read a new file.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Write the result even if something is lost that changes where connections go.
    #[arg(long)]
    pub(crate) allow_loss: bool,
}

fn dialect(word: &str) -> Result<Dialect, String> {
    let plain = |word: &str| word.replace('-', "").to_ascii_lowercase();
    let found = Dialect::WORDS.into_iter().find(|(known, _)| plain(known) == plain(word));
    found.map(|(_, dialect)| dialect).ok_or_else(|| "expected `v2ray` or `sing-box`".to_owned())
}

/// What is done with a geo file.
#[derive(Debug, Subcommand)]
pub enum Geo {
    /// List the codes in a file, with the number of their entries.
    List(GeoPath),
    /// Show which lists hold a name or an address, and by which entry.
    Lookup {
        /// The file.
        #[command(flatten)]
        path: GeoPath,
        /// A domain name or an address.
        #[arg(value_parser = Host::parse)]
        host: Host,
    },
    /// Count lists and entries.
    Stat(GeoPath),
    /// Write a list as a rule set.
    Export {
        /// The file.
        #[command(flatten)]
        path: GeoPath,
        /// The code of the list, such as `cn`, or `google@ads` for the entries with an attribute.
        #[arg(value_name = "CODE[@ATTRIBUTE]")]
        code: String,
        /// The rule set: with the ending .json its source form, otherwise compiled [default: CODE.srs].
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// A geo file.
#[derive(Debug, Args)]
pub struct GeoPath {
    /// A path, or the name of a file in an asset folder, such as geosite.dat.
    pub(crate) file: String,
}

/// What is done with a rule set.
#[derive(Debug, Subcommand)]
pub enum RuleSetCommand {
    /// Compile a source file (.json) to a .srs file.
    Compile {
        /// The source file, or `-` for standard input.
        source: PathBuf,
        /// Where the compiled set goes [default: the name of the source with the ending .srs].
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// The version of the format, instead of the lowest that can say it.
        #[arg(long, value_name = "1-5", value_parser = value_parser!(u8).range(1..=i64::from(NEWEST_VERSION)))]
        format_version: Option<u8>,
    },
    /// Turn a .srs file into a source file.
    Decompile {
        /// The compiled set, or `-` for standard input.
        compiled: PathBuf,
        /// Where the source goes [default: the name of the set with the ending .json].
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Say which rules and entries of a set hold for names and addresses; the exit code is 1 if none does.
    Match {
        /// The set, compiled or as source.
        file: PathBuf,
        /// Names and addresses; `-` for those on standard input, one a line.
        #[arg(value_name = "NAME_OR_ADDRESS", required = true)]
        hosts: Vec<String>,
    },
    /// Make a compiled rule set of a list in another form.
    Convert {
        /// The list, or `-` for standard input.
        list: PathBuf,
        /// What the list is.
        #[arg(short = 't', long = "type", value_enum, value_name = "TYPE")]
        kind: ListKind,
        /// Where the compiled set goes [default: the name of the list with the ending .srs].
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// The form of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ListKind {
    /// A DNS filter for AdGuard Home.
    Adguard,
    /// A hosts file that blocks names.
    Hosts,
}
