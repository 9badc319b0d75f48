package pmtu

import "time"

// searchStep is how closely the size is found, in bytes: closer is not worth the
// probes.
const searchStep = 8

// commonMTU are the sizes of IP packets that networks and tunnels over Ethernet
// have. A search that tries them first mostly ends at the exact one.
var commonMTU = [...]int{
	1300, 1320, 1340, 1350, 1360, 1372, 1380,
	1400, // mobile networks, IPsec
	1420, // WireGuard over IPv6
	1440, // WireGuard over IPv4
	1450, // VXLAN
	1462, // GRE with Ethernet
	1476, // GRE
	1480, // IP in IP, 6in4 (RFC 4213)
	1492, // PPPoE (RFC 2516)
}

// search is the search for a larger size (RFC 8899, section 5.3): one probe at a
// time, the wanted size first, then halving what is left between the largest
// size that passed and the smallest that did not.
type search struct {
	high  int // bytes of the smallest IP packet that counts as not passing; 0: none yet
	probe int // bytes of the one that is asked for; 0: none
	tries int // of it
}

// passed notes the size of an IP packet that came back.
func (d *Discovery) passed(size int) {
	s := &d.search
	d.size = max(d.size, size)
	if s.high > 0 && size >= s.high {
		s.high = 0 // it was late, not lost
	}
	if d.phase == phaseSearch && s.probe > 0 && size >= s.probe {
		s.probe, d.next = 0, time.Time{}
	}
}

func (d *Discovery) pollSearch(now time.Time, timeout time.Duration) {
	s := &d.search
	if s.probe > 0 && s.tries >= maxProbes {
		s.high, s.probe = s.probe, 0
	}
	if s.probe == 0 {
		s.probe, s.tries = nextProbe(d.size, s.high, d.full), 0
	}
	if s.probe == 0 {
		d.phase, d.next = phaseComplete, now.Add(RaiseTimer)
		return
	}
	s.tries++
	d.next = now.Add(timeout)
	d.ask(s.probe)
}

// nextProbe returns the size to probe when low bytes pass and high bytes do not,
// or 0 when that is close enough. high is 0 while nothing is known not to pass.
func nextProbe(low, high, full int) int {
	switch {
	case low >= full:
		return 0
	case high == 0:
		return full
	case high-low <= searchStep:
		return 0
	}
	middle, nearest := (low+high)/2, 0
	for _, size := range commonMTU {
		if low < size && size < high && (nearest == 0 || distance(size, middle) < distance(nearest, middle)) {
			nearest = size
		}
	}
	if nearest > 0 {
		return nearest
	}
	return middle
}

func distance(a, b int) int { return max(a-b, b-a) }
