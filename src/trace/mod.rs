//! The words for what happened to a packet.
//!
//! A station answers each packet with a [`Verdict`]. When somebody asks for an explanation it also says each thing it did
//! as a [`Step`]. The states and most drop causes are those of Google's Connectivity Tests (`trace.proto`, v1), so that
//! a trace can stand beside Google's own; `SIM_…` names what Google has no word for.

mod cause;
pub mod info;
mod state;

pub use cause::{AbortCause, CallFailure, DropCause, Failure};
pub use info::StepInfo;
pub use state::State;

use crate::wire::Packet;

/// One of a station's ways in and out. What is behind it only the topology knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortId(pub u32);

/// What a station will want to know when the next packet of a flow comes the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memo {
    /// Nothing: the decision depends on the flow and the configuration alone.
    Pure,
    /// Nothing but to take one from the TTL.
    DecrementTtl,
    /// This entry of the station's table.
    Entry(EntryId),
    /// The decision must be taken anew for each packet.
    Never,
}

/// An entry of a station's table: a slot, and how often that slot had been filled before. A freed entry is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EntryId {
    /// Position in the table.
    pub slot: u32,
    /// How many entries this slot had held before.
    pub generation: u32,
}

/// One station's decision about one packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on through this port.
    Forward(PortId, Memo),
    /// It has arrived.
    Deliver(Memo),
    /// It has arrived, and is answered with this packet, back the way it came.
    Answer(Box<Packet>),
    /// It stops here.
    Drop(DropCause),
    /// It stops here, and its sender is told with this packet, back the way it came.
    Refuse(DropCause, Box<Packet>),
}

/// How a packet's way ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// It arrived.
    Deliver,
    /// It left for a network that the scenario does not describe: on premises, a peer, an appliance.
    Forward,
    /// It stopped.
    Drop(DropCause),
    /// Nobody could send it.
    Abort(AbortCause),
}

impl Disposition {
    /// `DELIVER`, `FORWARD`, `DROP` or `ABORT`.
    pub const fn name(self) -> &'static str {
        match self {
            Disposition::Deliver => "DELIVER",
            Disposition::Forward => "FORWARD",
            Disposition::Drop(_) => "DROP",
            Disposition::Abort(_) => "ABORT",
        }
    }

    /// Why it stopped, if it did.
    pub const fn cause(self) -> Option<DropCause> {
        match self {
            Disposition::Drop(cause) => Some(cause),
            Disposition::Deliver | Disposition::Forward | Disposition::Abort(_) => None,
        }
    }

    /// Why it stopped, or was never sent: the fixed name and its sentence.
    pub const fn reason(self) -> Option<(&'static str, &'static str)> {
        match self {
            Disposition::Drop(cause) => Some((cause.name(), cause.meaning())),
            Disposition::Abort(cause) => Some((cause.name(), cause.meaning())),
            Disposition::Deliver | Disposition::Forward => None,
        }
    }
}

/// One thing a station did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What kind of thing.
    pub state: State,
    /// The sentence for people, with the rule or route by its name.
    pub description: String,
    /// The same for programs, in the fields of Connectivity Tests.
    pub info: Option<StepInfo>,
}

/// What a station says of a step: a sentence, or a sentence with its payload.
#[derive(Debug)]
pub struct Told {
    description: String,
    info: Option<StepInfo>,
}

impl From<String> for Told {
    fn from(description: String) -> Told {
        Told { description, info: None }
    }
}

impl From<&str> for Told {
    fn from(description: &str) -> Told {
        Told { description: description.into(), info: None }
    }
}

impl<I: Into<StepInfo>> From<(String, I)> for Told {
    fn from((description, info): (String, I)) -> Told {
        Told { description, info: Some(info.into()) }
    }
}

/// Where stations say what they did, if anybody asked. Without a listener nothing is formatted.
#[derive(Debug, Default)]
pub struct Explain {
    steps: Option<Vec<Step>>,
}

impl Explain {
    /// Nobody asked.
    pub const fn silent() -> Explain {
        Explain { steps: None }
    }

    /// Steps are kept.
    pub const fn listening() -> Explain {
        Explain { steps: Some(Vec::new()) }
    }

    /// Says a step; the sentence is made only when somebody listens.
    #[inline]
    pub fn say<T: Into<Told>>(&mut self, state: State, told: impl FnOnce() -> T) {
        if let Some(steps) = &mut self.steps {
            let Told { description, info } = told().into();
            steps.push(Step { state, description, info });
        }
    }

    /// Whether somebody listens.
    #[inline]
    pub fn listens(&self) -> bool {
        self.steps.is_some()
    }

    /// Adds a payload to what was said last, if that was of this state.
    pub fn inform<I: Into<StepInfo>>(&mut self, state: State, info: impl FnOnce() -> I) {
        let last = self.steps.as_mut().and_then(|steps| steps.last_mut());
        if let Some(step) = last.filter(|step| step.state == state) {
            step.info = Some(info().into());
        }
    }

    /// Takes the steps said so far.
    pub fn take(&mut self) -> Vec<Step> {
        self.steps.as_mut().map(std::mem::take).unwrap_or_default()
    }
}

/// One station passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// Name of the station.
    pub node: String,
    /// What it did.
    pub steps: Vec<Step>,
}

/// A packet's whole way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The stations, in order.
    pub hops: Vec<Hop>,
    /// How it ended.
    pub disposition: Disposition,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_made_only_when_somebody_listens() {
        let mut silent = Explain::silent();
        silent.say(State::Nat, || -> String { unreachable!("nobody listens") });
        let mut listening = Explain::listening();
        listening.say(State::Nat, || "translated");
        assert_eq!(listening.take().len(), 1);
        assert!(silent.take().is_empty());
    }
}
