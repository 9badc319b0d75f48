package crypto

import "testing"

// refusals are the steps by which a guard refuses an INIT without a cookie.
func refusals(t testing.TB) map[string]func() {
	_, v := sGuard(t)
	g := NewGuard(v.responder().Local.Static, nil)
	hdr, src := [16]byte(v.CookiePacket[:16]), make([]byte, 18)
	dst := make([]byte, 0, cookieLen)
	return map[string]func(){
		"mac1":   func() { g.CheckMAC1(v.Init) },
		"mac2":   func() { g.CheckMAC2(sNow, v.Init, src) },
		"cookie": func() { dst = g.AppendCookie(dst[:0], sNow, hdr, v.Init, src) },
	}
}

// TestGuardAllocatesNothing: a flood of INITs makes no garbage.
func TestGuardAllocatesNothing(t *testing.T) {
	for name, step := range refusals(t) {
		if n := testing.AllocsPerRun(100, step); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkGuard(b *testing.B) {
	for name, step := range refusals(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				step()
			}
		})
	}
}
