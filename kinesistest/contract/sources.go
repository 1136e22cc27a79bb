package contract

// limits is AWS's page of quotas.
const limits = "https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html"

// guide returns a page of the developer guide of Kinesis Data Streams.
func guide(page string) string {
	return "https://docs.aws.amazon.com/streams/latest/dev/" + page + ".html"
}

// api returns the page of an operation or a type of Kinesis.
func api(name string) string {
	return "https://docs.aws.amazon.com/kinesis/latest/APIReference/API_" + name + ".html"
}

// ddb returns the page of an operation or a type of DynamoDB.
func ddb(name string) string {
	return "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_" + name + ".html"
}
