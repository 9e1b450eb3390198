//! `egressim trace`.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::ValueEnum;

use super::terminal::Terminal;
use super::{Common, NOT_MET, OK, scenario};
use crate::node::instance::{METADATA, METADATA_HOST, METADATA_PORT};
use crate::probe::probe;
use crate::report::connectivity::{self, Way};
use crate::report::identity::PROJECT;
use crate::scenario::{Destination, Host, Scenario, host_and_port};
use crate::trace::{Disposition, Trace};
use crate::wire::Protocol;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Arguments {
    /// Scenario file or folder, or `-`; the built-in scenario when left out.
    scenario: Option<PathBuf>,
    /// The workload that sends; the scenario's first when left out.
    #[arg(long, value_name = "WORKLOAD")]
    from: Option<String>,
    /// Destination: a declared host or an address, and a port; an IPv6 address in brackets before a port.
    /// `metadata.google.internal` tells what the metadata server says of the instance's interface.
    #[arg(long, value_name = "HOST[:PORT]")]
    to: String,
    /// What the packet is.
    #[arg(long, value_enum, default_value_t = Kind::Tcp)]
    protocol: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A TCP SYN; without a port to 443, or the first open one of a host that has not got it.
    Tcp,
    /// A UDP datagram; without a port to 53, or likewise.
    Udp,
    /// An ICMP echo request.
    Icmp,
}

pub(super) fn run(arguments: &Arguments, common: &Common, terminal: &Terminal) -> Result<u8> {
    let scenario = scenario::usable(arguments.scenario.as_deref(), common, terminal)?;
    let from = scenario::workload(&scenario, arguments.from.as_deref())?;
    let protocol = match arguments.protocol {
        Kind::Tcp => Protocol::Tcp,
        Kind::Udp => Protocol::Udp,
        Kind::Icmp => Protocol::Icmp,
    };
    let (to, port) = destination(&scenario, &arguments.to, protocol)?;
    let Some(probe) = probe(&scenario, from, to, port, protocol) else {
        bail!("workload {:?} has 0 instances at the start: none can send", scenario.workloads[from].name);
    };
    let there = Way { trace: &probe.trace, sent: probe.sent.as_ref() };
    let back = probe.reply.as_ref().map(|trace| Way { trace, sent: probe.answered.as_ref() });
    let document = connectivity::document(there, back, PROJECT);
    terminal.keep_json("trace.json", &document)?;
    if terminal.json() {
        terminal.print_json(&document)?;
    } else {
        let dst = probe.flow.map_or_else(|| to.address(false), |flow| flow.dst());
        let to = match protocol {
            Protocol::Icmp => dst.to_string(),
            Protocol::Tcp | Protocol::Udp => SocketAddr::new(dst, port).to_string(),
        };
        terminal.print(|out| {
            writeln!(out, "{} -> {to}/{protocol}", scenario.workloads[from].name)?;
            write_trace(out, &probe.trace)?;
            if let Some(reply) = &probe.reply {
                writeln!(out, "\nreply")?;
                write_trace(out, reply)?;
            }
            Ok(())
        })?;
    }
    let arrived = matches!(probe.trace.disposition, Disposition::Deliver | Disposition::Forward);
    Ok(if arrived { OK } else { NOT_MET })
}

/// `HOST[:PORT]`, HOST being a declared host or an address.
fn destination(scenario: &Scenario, text: &str, protocol: Protocol) -> Result<(Destination, u16)> {
    let (name, port) = host_and_port(text);
    let port = match port.map(|port| (port, port.parse::<u16>())) {
        Some((port, Err(_))) => bail!("{port:?} is no port: expected a number from 0 to 65535"),
        Some((_, Ok(port))) => Some(port),
        None => None,
    };
    if name == METADATA_HOST || name.parse() == Ok(METADATA) {
        return Ok((METADATA.into(), port.unwrap_or(METADATA_PORT)));
    }
    let port = port.unwrap_or_else(|| default_port(scenario.hosts.iter().find(|host| host.name == name), protocol));
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok((address.into(), port));
    }
    let host = scenario.hosts.iter().find(|host| host.name == name);
    let vm = scenario.vms.iter().find(|vm| vm.name == name);
    match (host, vm) {
        (Some(host), _) => Ok((host.destination(), port)),
        (None, Some(vm)) => Ok((vm.destination(), port)),
        (None, None) => {
            let names: Vec<_> = scenario.hosts.iter().map(|host| host.name.as_str()).collect();
            bail!("{name:?} is neither an address nor a declared host; there are: {}", names.join(", "))
        }
    }
}

/// The usual port, unless a declared host has only others.
fn default_port(host: Option<&Host>, protocol: Protocol) -> u16 {
    let (usual, open) = match protocol {
        Protocol::Tcp => (443, host.map(|host| &host.tcp_ports)),
        Protocol::Udp => (53, host.map(|host| &host.udp_ports)),
        Protocol::Icmp => return 0,
    };
    match open {
        Some(ports) if !ports.contains(&usual) => ports.first().copied().unwrap_or(usual),
        _ => usual,
    }
}

fn write_trace(out: &mut dyn Write, trace: &Trace) -> std::io::Result<()> {
    // The last line says the plain meaning of a cause; a step that says no more than that is left out.
    let meaning = trace.disposition.reason().map(|(_, meaning)| meaning);
    for hop in &trace.hops {
        let telling = hop.steps.iter().filter(|step| Some(step.description.as_str()) != meaning);
        for (number, step) in telling.enumerate() {
            let node = if number == 0 { hop.node.as_str() } else { "" };
            writeln!(out, "  {node:<28} {}", step.description)?;
        }
    }
    match trace.disposition.reason() {
        Some((cause, meaning)) => writeln!(out, "{} {cause}: {meaning}", trace.disposition.name()),
        None if trace.disposition == Disposition::Forward => {
            writeln!(out, "FORWARD: on its way in a network that the scenario does not describe")
        }
        None => writeln!(out, "{}", trace.disposition.name()),
    }
}
