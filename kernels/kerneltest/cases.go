package kerneltest

// Cases lists every case, op by op.
func Cases() []Case {
	var all []Case
	for _, cases := range [][]Case{
		convCases(), convBatchNormCases(), gemmCases(), batchNormCases(), batchNormReLUPoolCases(), reluCases(), geluCases(), siluCases(),
		addCases(), maxPoolCases(), avgPoolCases(), dropoutCases(),
		lossCases(), optimizerCases(), muonCases(), emaCases(), gatherCases(), reduceCases(), stateCases(),
	} {
		all = append(all, cases...)
	}
	return all
}
