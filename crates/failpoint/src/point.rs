//! Every point, in the order in which a group's life passes them.

/// Makes the points from a table: name, name in the environment, whether the effect after it can
/// fail.
macro_rules! points {
    ($($(#[$doc:meta])* $point:ident $name:literal $fate:ident;)*) => {
        /// A place before or after an effect on the host.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Point {
            $($(#[$doc])* $point,)*
        }

        impl Point {
            /// Every point.
            pub const ALL: &[Self] = &[$(Self::$point,)*];

            /// Its name in the environment.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)*
                }
            }

            /// Whether it stands before an effect that can fail.
            #[must_use]
            pub const fn may_fail(self) -> bool {
                match self {
                    $(Self::$point => points!(@ $fate),)*
                }
            }
        }
    };
    (@ fails) => { true };
    (@ stands) => { false };
}

points! {
    // The agent's start.
    /// The directories are this agent's.
    StartLocked "start-locked" fails;
    /// The records are read.
    StartLoaded "start-loaded" stands;
    /// The ledger is read.
    StartLedger "start-ledger" stands;
    /// The network is up.
    StartNetwork "start-network" stands;
    /// Before the launcher is started or found.
    StartLauncher "start-launcher" fails;
    /// The launcher runs.
    StartLaunched "start-launched" stands;
    /// What nobody owns is gone.
    StartSettled "start-settled" stands;
    /// Image leases are as the records want them.
    StartLeases "start-leases" stands;
    /// Before a keeper that stands is asked.
    AdoptBegun "adopt-begun" fails;
    /// The keeper has told what it has.
    AdoptTold "adopt-told" stands;
    /// The group is taken over.
    AdoptDone "adopt-done" stands;

    // Records.
    /// Before a new file is made beside the old one.
    RecordBegun "record-begun" fails;
    /// The new file is written, not durable.
    RecordWritten "record-written" fails;
    /// The new file has the old one's name; the directory is not durable.
    RecordRenamed "record-renamed" fails;
    /// Before the ledger is told.
    LedgerBegun "ledger-begun" fails;
    /// The ledger knows.
    LedgerTold "ledger-told" stands;

    // Images.
    /// Before a directory is made to unpack into.
    StageBegun "stage-begun" fails;
    /// The layer is unpacked and verified.
    LayerUnpacked "layer-unpacked" fails;
    /// The layer has its name and no record.
    LayerRenamed "layer-renamed" fails;
    /// The layer has its record; the packed bytes are still there.
    LayerRecorded "layer-recorded" stands;
    /// A whole file is written beside its place.
    FileWritten "image-file-written" fails;
    /// A whole file is in its place; the directory is not durable.
    FileRenamed "image-file-renamed" fails;
    /// The documents are kept; no record names them.
    DocumentsKept "image-documents-kept" stands;
    /// The image's record is written; nobody knows it.
    ImageRecorded "image-recorded" stands;
    /// Before a group's lease of images is written.
    ImageLeaseBegun "image-lease-begun" fails;
    /// The lease is written.
    ImageLeased "image-leased" stands;
    /// Before layers are made durable.
    LayersSync "image-layers-sync" fails;

    // A sandbox is made.
    /// Before the choice of host ids is written.
    IdsBegun "ids-begun" fails;
    /// The choice is written, not durable.
    IdsTaken "ids-taken" stands;
    /// Before the choice is made durable.
    IdsSettle "ids-settle" fails;
    /// It is written that there may be a keeper.
    SandboxMarked "sandbox-marked" stands;
    /// Before the group's directories are made.
    SandboxDirs "sandbox-dirs" fails;
    /// A volume is whole under another name.
    VolumeMade "volume-made" fails;
    /// All volumes are there.
    VolumesMade "volumes-made" stands;
    /// Before the group's cgroup is made.
    CgroupBegun "cgroup-begun" fails;
    /// The group's cgroup is there.
    CgroupMade "cgroup-made" stands;
    /// Before a keeper is asked for.
    KeeperBegun "keeper-begun" fails;
    /// The keeper stands.
    KeeperMade "keeper-made" stands;
    /// Before the address is taken.
    LeaseBegun "lease-begun" fails;
    /// The address is the group's.
    LeaseTaken "lease-taken" stands;
    /// Before the lease log is written.
    LeaseLog "lease-log" fails;
    /// Before the link is made.
    AttachBegun "attach-begun" fails;
    /// The group's rules are loaded; it has no link.
    RulesAdded "rules-added" stands;
    /// The link is there and carries nothing.
    LinkMade "link-made" stands;
    /// The group is connected.
    AttachDone "attach-done" stands;
    /// Before the files for `/etc` are written.
    FilesBegun "files-begun" fails;
    /// Before the sandbox is called complete.
    FilesWritten "files-written" fails;
    /// The sandbox is complete.
    SandboxDone "sandbox-done" stands;

    // A container is started.
    /// What earlier runs left is gone.
    RunCleared "run-cleared" stands;
    /// Before the run's root file system is made.
    RootBegun "root-begun" fails;
    /// The root file system is there.
    RootMade "root-made" stands;
    /// Before the container's cgroup is made.
    RunCgroupBegun "run-cgroup-begun" fails;
    /// Before the directory of logs is made.
    LogsBegun "logs-begun" fails;
    /// The run's file is written under another name.
    RunFileWritten "run-file-written" fails;
    /// Before the keeper is asked to run it.
    RunBegun "run-begun" fails;
    /// It runs, and nobody has noted it.
    RunDone "run-done" stands;

    // A group ends.
    /// Before a container is signalled.
    SignalBegun "signal-begun" fails;
    /// Before the keeper is told to end.
    ShutdownBegun "shutdown-begun" stands;
    /// The keeper is gone; its cgroup is there.
    ShutdownDone "shutdown-done" stands;
    /// Before what was used is written down.
    UsageBegun "usage-begun" fails;
    /// Before rules and link are taken away.
    DetachBegun "detach-begun" fails;
    /// Rules and link are gone.
    DetachDone "detach-done" stands;
    /// Before the cgroup is emptied.
    CgroupEnd "cgroup-end" fails;
    /// The cgroup is gone.
    CgroupGone "cgroup-gone" stands;
    /// Before the root file systems are removed.
    RootsEnd "roots-end" fails;
    /// Before it is written that there is no keeper.
    MarkerEnd "marker-end" fails;

    // A group is removed.
    /// Before the address is given back.
    ReleaseBegun "release-begun" fails;
    /// The address is free.
    ReleaseDone "release-done" stands;
    /// Before the images' lease is given back.
    ImageReleaseBegun "image-release-begun" fails;
    /// The images are free.
    ImageReleased "image-released" stands;
    /// Before the group's directory is emptied.
    RemovalBegun "removal-begun" fails;
    /// All but the record is gone.
    RemovalEmptied "removal-emptied" fails;
    /// The record is gone, the directory is not.
    RemovalLast "removal-last" fails;
    /// Nothing is on disk; the host ids are not free yet.
    RemovalDone "removal-done" stands;

    // An image is removed.
    /// The image's record is gone; its layers are not.
    ImageForgotten "image-forgotten" fails;
    /// The layers' records are gone; the trees are in the trash.
    LayersDiscarded "image-layers-discarded" fails;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        for (index, point) in Point::ALL.iter().enumerate() {
            let mut others = Point::ALL.iter().skip(index + 1);
            assert!(
                !others.any(|other| other.name() == point.name()),
                "{point:?}"
            );
        }
    }
}
