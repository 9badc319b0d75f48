package attack

import (
	"crypto/rand"
	"math"
	"testing"
)

// headBytes is how much of a datagram is tested for uniformity: header, and
// salt, hop tag or first ciphertext.
const headBytes = 32

// uniformity returns, for each of the first 32 positions of the datagrams, the
// probability that a chi-square test of 256 equally likely values is as bad as
// this or worse. Every datagram has 32 bytes or more.
func uniformity(datagrams [][]byte) (p [headBytes]float64) {
	expected := float64(len(datagrams)) / 256
	for at := range p {
		var seen [256]float64
		for _, d := range datagrams {
			seen[d[at]]++
		}
		x := 0.0
		for _, n := range seen {
			x += (n - expected) * (n - expected) / expected
		}
		p[at] = chiSquareTail(x, 255)
	}
	return p
}

// smallest returns the least of the probabilities and its position.
func smallest(p [headBytes]float64) (least float64, at int) {
	least = 1
	for i, v := range p {
		if v < least {
			least, at = v, i
		}
	}
	return least, at
}

// chiSquareTail returns the probability that a chi-square variable of so many
// degrees of freedom is x or more: the regularized upper incomplete gamma
// function Q(degrees/2, x/2).
func chiSquareTail(x float64, degrees int) float64 {
	a, z := float64(degrees)/2, x/2
	switch {
	case z <= 0:
		return 1
	case z < a+1:
		return 1 - lowerGamma(a, z)
	}
	return upperGamma(a, z)
}

// The two expansions of Abramowitz and Stegun, 6.5.29 and 6.5.31, each where it
// converges fast; both carry the factor z^a e^-z / Gamma(a).
func gammaFactor(a, z float64) float64 {
	logGamma, _ := math.Lgamma(a)
	return math.Exp(a*math.Log(z) - z - logGamma)
}

const (
	gammaSteps    = 10_000
	gammaAccuracy = 1e-15
)

// lowerGamma is P(a, z) by its series.
func lowerGamma(a, z float64) float64 {
	term := 1 / a
	sum := term
	for n := 1; n < gammaSteps && term > sum*gammaAccuracy; n++ {
		term *= z / (a + float64(n))
		sum += term
	}
	return sum * gammaFactor(a, z)
}

// upperGamma is Q(a, z) by its continued fraction, with Lentz's method.
func upperGamma(a, z float64) float64 {
	const tiny = 1e-300
	b := z + 1 - a
	c, d := 1/tiny, 1/b
	h := d
	for n := 1; n < gammaSteps; n++ {
		i := float64(n)
		an := i * (a - i)
		b += 2
		if d = an*d + b; math.Abs(d) < tiny {
			d = tiny
		}
		if c = b + an/c; math.Abs(c) < tiny {
			c = tiny
		}
		d = 1 / d
		h *= d * c
		if math.Abs(d*c-1) < gammaAccuracy {
			break
		}
	}
	return h * gammaFactor(a, z)
}

// The values are those of printed tables of the chi-square distribution.
func TestChiSquareTable(t *testing.T) {
	for _, tt := range []struct {
		x       float64
		degrees int
		want    float64
	}{
		{3.841458820694124, 1, 0.05},
		{10.827566170662733, 1, 0.001},
		{5.991464547107979, 2, 0.05},
		{9.487729036781154, 4, 0.05},
		{18.307038053275146, 10, 0.05},
		{29.58829844507441, 10, 0.001},
		{124.34211340400407, 100, 0.05},
		{149.44925277903872, 100, 0.001},
		{77.92946516501723, 100, 0.95},
	} {
		if got := chiSquareTail(tt.x, tt.degrees); math.Abs(got/tt.want-1) > 1e-9 {
			t.Errorf("%d degrees, %v: %v, want %v", tt.degrees, tt.x, got, tt.want)
		}
	}
}

// For whole degrees the tail has a closed form (Abramowitz and Stegun, 26.4.4
// and 26.4.5), which is summed here term by term.
func TestChiSquareClosedForm(t *testing.T) {
	for _, degrees := range []int{1, 2, 3, 8, 31, 254, 255, 256} {
		for _, x := range []float64{0.5, 3, 20, 150, 240, 255, 256, 257, 300, 382.5, 450, 700} {
			want := 0.0
			if degrees%2 == 1 {
				want = math.Erfc(math.Sqrt(x / 2))
			}
			for k := degrees % 2; k < degrees; k += 2 {
				half := float64(k) / 2
				logGamma, _ := math.Lgamma(half + 1)
				want += math.Exp(half*math.Log(x/2) - x/2 - logGamma)
			}
			got := chiSquareTail(x, degrees)
			if math.Abs(got-want) > 1e-9*want+1e-13 {
				t.Errorf("%d degrees, %v: %v, want %v", degrees, x, got, want)
			}
		}
	}
}

// Random bytes pass; one value that is four times as likely as it should be, at
// one position, does not.
func TestUniformity(t *testing.T) {
	random := make([][]byte, 10_000)
	for i := range random {
		random[i] = make([]byte, headBytes)
		rand.Read(random[i])
	}
	if p, at := smallest(uniformity(random)); p <= worst {
		t.Errorf("random bytes: %v at position %d", p, at)
	}
	const biased = 17
	var coin [1]byte
	for _, d := range random {
		if rand.Read(coin[:]); coin[0] < 3 {
			d[biased] = 0xa5
		}
	}
	p := uniformity(random)
	least, at := smallest(p)
	if least > worst || at != biased {
		t.Errorf("a frequent value: %v at position %d", least, at)
	}
	p[biased] = 1
	if least, at = smallest(p); least <= worst {
		t.Errorf("beside a frequent value: %v at position %d", least, at)
	}
}

// worst is the probability that a position must exceed to count as uniform.
const worst = 1e-6
