//! The axes of the matrix.

use super::ask;
use std::fmt;

/// What the token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Claim {
    NoToken,
    NoRole,
    Viewer,
    Contributor,
    Administrator,
    /// `"owner"`.
    UnknownWord,
    /// `["viewer", "administrator"]`.
    TwoRoles,
    /// `[]`.
    EmptyList,
    Operator,
    OperatorAndAdministrator,
}

/// How the token's tenant and the request's go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Relation {
    /// The role is in the tenant that is named.
    Own,
    /// It is in another one; both exist.
    Other,
    /// It is in another one, and the named one never existed.
    OtherNeverExisted,
    /// It is in the tenant that is named, which never existed.
    NeverExisted,
    /// It is in the tenant that is named, which was removed.
    Removed,
    /// The token has no `tenants` at all.
    NoClaim,
}

impl Relation {
    /// Whether there is a tenant of the name in the request.
    pub(super) fn is_there(self) -> bool {
        matches!(self, Self::Own | Self::Other | Self::NoClaim)
    }
}

/// What became of the connection before the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sharing {
    Never,
    Shared,
    Withdrawn,
    /// There is none of that name, nor an export on it.
    Removed,
    /// Another one of the same tenant is shared.
    AnotherShared,
}

/// Who made the connection, the export and the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
    Caller,
    SomebodyElse,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) rpc: String,
    pub(super) is_stream: bool,
    pub(super) claim: Claim,
    pub(super) relation: Relation,
    pub(super) sharing: Sharing,
    pub(super) owner: Owner,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}, {:?}, {:?}, {:?}", self.rpc, self.claim, self.relation, self.sharing, self.owner)
    }
}

pub(super) const CLAIMS: [Claim; 10] = [
    Claim::NoToken,
    Claim::NoRole,
    Claim::Viewer,
    Claim::Contributor,
    Claim::Administrator,
    Claim::UnknownWord,
    Claim::TwoRoles,
    Claim::EmptyList,
    Claim::Operator,
    Claim::OperatorAndAdministrator,
];
const RELATIONS: [Relation; 6] = [
    Relation::Own,
    Relation::Other,
    Relation::OtherNeverExisted,
    Relation::NeverExisted,
    Relation::Removed,
    Relation::NoClaim,
];
pub(super) const SHARING: [Sharing; 5] =
    [Sharing::Never, Sharing::Shared, Sharing::Withdrawn, Sharing::Removed, Sharing::AnotherShared];
pub(super) const OWNERS: [Owner; 2] = [Owner::Caller, Owner::SomebodyElse];

/// Every cell that differs from all others. A call that names no connection, export or run knows no sharing and no
/// owner; without a `tenants` claim there is no role; where there is no tenant there is nothing else.
pub(super) fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for rpc in ask::rpcs() {
        let has_thing = ask::names_a_thing(&rpc.name);
        for claim in CLAIMS {
            for relation in RELATIONS {
                let has_role = !matches!(claim, Claim::NoToken | Claim::NoRole | Claim::Operator);
                if relation == Relation::NoClaim && has_role {
                    continue;
                }
                let is_narrow = !has_thing || !relation.is_there();
                let sharing = if is_narrow { &SHARING[..1] } else { &SHARING[..] };
                let owners = if is_narrow { &OWNERS[..1] } else { &OWNERS[..] };
                for sharing in sharing {
                    for owner in owners {
                        cells.push(Cell {
                            rpc: rpc.name.clone(),
                            is_stream: rpc.is_stream,
                            claim,
                            relation,
                            sharing: *sharing,
                            owner: *owner,
                        });
                    }
                }
            }
        }
    }
    cells
}
