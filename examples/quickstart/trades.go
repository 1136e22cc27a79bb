package main

import (
	"io"
	"math/rand/v2"
	"strconv"
)

// A feed is where the records come from.
type feed struct {
	// read returns one record per call, and io.EOF behind the last. The data may
	// be overwritten by the next call.
	read func() (key string, data []byte, err error)

	// progress is how much of the feed has been read, from 0 to 1.
	progress func() float64
}

// tickers are the stocks of AWS's StockTrades tutorial in miniature: a symbol
// and a mean price.
var tickers = []struct {
	symbol string
	price  float64
}{
	{"AMZN", 226.10}, {"AAPL", 272.40}, {"GOOG", 299.60}, {"MSFT", 478.40}, {"NVDA", 178.90},
	{"WMT", 105.30}, {"JNJ", 203.90}, {"XOM", 117.10}, {"PG", 151.00}, {"JPM", 298.00},
	{"CVX", 149.90}, {"KO", 72.90}, {"PEP", 148.20}, {"MRK", 97.80}, {"PFE", 25.00},
	{"VZ", 41.40}, {"T", 25.90}, {"INTC", 34.50}, {"CSCO", 76.10}, {"ORCL", 198.80},
	{"DIS", 104.30}, {"NKE", 62.70}, {"MCD", 308.60}, {"BA", 179.10}, {"IBM", 297.40},
}

// trades generates n stock trades from a seed. Each is about 90 bytes.
func trades(n int, seed uint64) feed {
	rng := rand.New(rand.NewPCG(seed, seed))
	id := 0
	progress := func() float64 { return float64(id) / float64(max(n, 1)) }
	b := make([]byte, 0, 128)
	read := func() (string, []byte, error) {
		if id == n {
			return "", nil, io.EOF
		}
		id++
		t := tickers[rng.IntN(len(tickers))]
		kind := "BUY"
		if rng.Float64() < 0.4 {
			kind = "SELL"
		}
		b = append(b[:0], `{"tickerSymbol":"`...)
		b = append(b, t.symbol...)
		b = append(b, `","tradeType":"`...)
		b = append(b, kind...)
		b = append(b, `","price":`...)
		b = strconv.AppendFloat(b, t.price*(0.8+0.4*rng.Float64()), 'f', 2, 64)
		b = append(b, `,"quantity":`...)
		b = strconv.AppendInt(b, 1+rng.Int64N(10_000), 10)
		b = append(b, `,"id":`...)
		b = strconv.AppendInt(b, int64(id), 10)
		b = append(b, '}')
		return t.symbol, b, nil
	}
	return feed{read, progress}
}
