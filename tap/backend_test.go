package tap

import "testing"

func TestBackendNames(t *testing.T) {
	for _, b := range []Backend{BackendAuto, BackendNative, BackendWater} {
		if got, err := ParseBackend(b.String()); got != b || err != nil {
			t.Errorf("%v: %v, %v", b, got, err)
		}
	}
	if _, err := ParseBackend("fire"); err == nil || err.Error() != `"fire" is no TAP backend: use auto, native, water` {
		t.Errorf("%v", err)
	}
	if s := Backend(9).String(); s != "backend(9)" {
		t.Error(s)
	}
}

func TestFeatures(t *testing.T) {
	for without, want := range map[Features]string{
		0:                       "vnet,csum,tso,uso",
		FeatureUSO:              "vnet,csum,tso",
		FeatureTSO:              "vnet,csum,uso",
		FeatureUSO | FeatureTSO: "vnet,csum",
		FeatureCsum:             "vnet",
		FeatureVnet:             "none",
	} {
		if got := (allFeatures &^ without).closed().String(); got != want {
			t.Errorf("without %v: %s, want %s", without, got, want)
		}
	}
}
