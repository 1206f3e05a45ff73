package harness

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Peers returns the addresses that the program has a connection with now, over TCP or UDP. It needs Linux.
func (p *Process) Peers() ([]netip.AddrPort, error) {
	dir := filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid))
	files, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		return nil, fmt.Errorf("listing the sockets of %s: %w", p.cmd.Path, err)
	}
	own := map[string]bool{}
	for _, file := range files {
		if link, err := os.Readlink(filepath.Join(dir, "fd", file.Name())); err == nil && strings.HasPrefix(link, "socket:[") {
			own[strings.Trim(strings.TrimPrefix(link, "socket:"), "[]")] = true
		}
	}
	var peers []netip.AddrPort
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		// The table is of the network namespace, and so has everybody's sockets.
		text, err := os.ReadFile(filepath.Join(dir, "net", table))
		if errors.Is(err, fs.ErrNotExist) {
			continue // no IPv6 here
		}
		if err != nil {
			return nil, fmt.Errorf("listing the sockets of %s: %w", p.cmd.Path, err)
		}
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if len(fields) < 10 || !own[fields[9]] {
				continue
			}
			peer, err := kernelAddress(fields[2])
			if err != nil {
				return nil, fmt.Errorf("listing the sockets of %s: %s: %w", p.cmd.Path, table, err)
			}
			if peer.Port() != 0 { // 0: it only listens
				peers = append(peers, peer)
			}
		}
	}
	return peers, nil
}

// kernelAddress reads an address of /proc/net: 32-bit words in the machine's order, and the port, in hex.
func kernelAddress(s string) (netip.AddrPort, error) {
	words, number, _ := strings.Cut(s, ":")
	port, err := strconv.ParseUint(number, 16, 16)
	if err != nil {
		return netip.AddrPort{}, err
	}
	raw, err := hex.DecodeString(words)
	if err != nil {
		return netip.AddrPort{}, err
	}
	for word := range slices.Chunk(raw, 4) {
		binary.NativeEndian.PutUint32(word, binary.BigEndian.Uint32(word))
	}
	address, ok := netip.AddrFromSlice(raw)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("%q is no address", s)
	}
	return netip.AddrPortFrom(address.Unmap(), uint16(port)), nil
}
