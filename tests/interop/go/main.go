// Command interop is franz-go behind lines of JSON: {"op": NAME, ...} in, {"ok": VALUE} or {"error": TEXT} out.
// "interop member JSON" is one member of a group instead, "interop groups BOOTSTRAP" kadm's group calls.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

type request struct {
	Op         string             `json:"op"`
	Topic      string             `json:"topic"`
	Partitions int32              `json:"partitions"`
	Configs    map[string]*string `json:"configs"`
	Name       string             `json:"name"`
	Value      *string            `json:"value"`
	Codec      string             `json:"codec"`
	Records    []record           `json:"records"`
	Topics     map[string]int32   `json:"topics"`
	Timestamp  *int64             `json:"timestamp"`
	ID         string             `json:"id"`
	Work       []transaction      `json:"work"`
	Count      int                `json:"count"`
}

// Bytes are base64 in JSON, and nil is null: Go's own convention for []byte.
type record struct {
	Topic     string   `json:"topic,omitempty"`
	Partition int32    `json:"partition"`
	Offset    int64    `json:"offset"`
	Timestamp int64    `json:"timestamp"`
	Key       []byte   `json:"key"`
	Value     []byte   `json:"value"`
	Headers   []header `json:"headers"`
}

type header struct {
	Key   string
	Value []byte
}

func (h header) MarshalJSON() ([]byte, error) { return json.Marshal([]any{h.Key, h.Value}) }

func (h *header) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &[]any{&h.Key, &h.Value}) }

type driver struct{ bootstrap string }

func (d driver) client(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(opts, kgo.SeedBrokers(d.bootstrap))...)
}

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

func (d driver) produce(ctx context.Context, q request) (any, error) {
	cl, err := d.client(
		kgo.ProducerBatchCompression(codecs[q.Codec]),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(20*time.Millisecond),
	)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	var all []*kgo.Record
	for _, r := range q.Records {
		rec := &kgo.Record{Topic: q.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value, Timestamp: time.UnixMilli(r.Timestamp)}
		for _, h := range r.Headers {
			rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
		all = append(all, rec)
	}
	if err := cl.ProduceSync(ctx, all...).FirstErr(); err != nil {
		return nil, err
	}
	offsets := []int64{}
	for _, rec := range all {
		offsets = append(offsets, rec.Offset)
	}
	return offsets, nil
}

func (d driver) consume(ctx context.Context, q request) (any, error) {
	cl, err := d.client()
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	var names []string
	for t := range q.Topics {
		names = append(names, t)
	}
	adm := kadm.NewClient(cl)
	starts, err := adm.ListStartOffsets(ctx, names...)
	if err == nil && q.Timestamp != nil {
		starts, err = adm.ListOffsetsAfterMilli(ctx, *q.Timestamp, names...)
	}
	if err != nil {
		return nil, err
	}
	ends, err := adm.ListEndOffsets(ctx, names...)
	if err != nil {
		return nil, err
	}
	assign := map[string]map[int32]kgo.Offset{}
	left := map[string]map[int32]int64{}
	open := 0
	ends.Each(func(e kadm.ListedOffset) {
		s, ok := starts.Lookup(e.Topic, e.Partition)
		if !ok || s.Offset < 0 || s.Offset >= e.Offset {
			return
		}
		if assign[e.Topic] == nil {
			assign[e.Topic], left[e.Topic] = map[int32]kgo.Offset{}, map[int32]int64{}
		}
		assign[e.Topic][e.Partition] = kgo.NewOffset().At(s.Offset)
		left[e.Topic][e.Partition] = e.Offset
		open++
	})
	out := []record{}
	if open == 0 {
		return out, nil
	}
	consumer, err := d.client(kgo.ConsumePartitions(assign), kgo.FetchMaxWait(200*time.Millisecond))
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	for open > 0 {
		fetches := consumer.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return nil, err
		}
		if errs := fetches.Errors(); len(errs) > 0 {
			return nil, errs[0].Err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			rec := record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value, Headers: []header{}}
			for _, h := range r.Headers {
				rec.Headers = append(rec.Headers, header{h.Key, h.Value})
			}
			out = append(out, rec)
			if r.Offset+1 == left[r.Topic][r.Partition] {
				open--
			}
		})
	}
	return out, nil
}

func (d driver) admin(ctx context.Context, q request) (any, error) {
	cl, err := d.client()
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	switch q.Op {
	case "create":
		_, err := adm.CreateTopic(ctx, q.Partitions, 1, q.Configs, q.Topic)
		return nil, err
	case "delete":
		r, err := adm.DeleteTopics(ctx, q.Topic)
		if err == nil {
			err = r.Error()
		}
		return nil, err
	case "topics":
		details, err := adm.ListTopics(ctx)
		names := details.Names()
		sort.Strings(names)
		return names, err
	case "describe":
		rs, err := adm.DescribeTopicConfigs(ctx, q.Topic)
		if err != nil {
			return nil, err
		}
		rc, err := rs.On(q.Topic, nil)
		if err == nil {
			err = rc.Err
		}
		configs := map[string]*string{}
		for _, c := range rc.Configs {
			configs[c.Key] = c.Value
		}
		return configs, err
	case "alter":
		rs, err := adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: q.Name, Value: q.Value}}, q.Topic)
		if err == nil {
			var r kadm.AlterConfigsResponse
			if r, err = rs.On(q.Topic, nil); err == nil {
				err = r.Err
			}
		}
		return nil, err
	}
	return nil, fmt.Errorf("no such op: %s", q.Op)
}

func (d driver) answer(q request) (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	switch q.Op {
	case "produce":
		return d.produce(ctx, q)
	case "consume":
		return d.consume(ctx, q)
	case "transact":
		return d.transact(ctx, q)
	case "copy":
		return d.copyTopic(ctx, q)
	}
	return d.admin(ctx, q)
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "member" {
		runMember(os.Args[2])
		return
	}
	if len(os.Args) == 3 && os.Args[1] == "groups" {
		runGroupAdmin(os.Args[2])
		return
	}
	d := driver{os.Args[1]}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	replies := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var q request
		reply := map[string]any{}
		err := json.Unmarshal(lines.Bytes(), &q)
		if err == nil {
			reply["ok"], err = d.answer(q)
		}
		if err != nil {
			reply = map[string]any{"error": err.Error()}
		}
		if err := replies.Encode(reply); err != nil {
			panic(err)
		}
	}
}
