//! Network plan and its application by netlink, nftables or CNI.
