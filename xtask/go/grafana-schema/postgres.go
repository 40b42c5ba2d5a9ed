package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
)

// sqlQuery is what a panel asks a data source in SQL. The library does not have it; the fields are those of `SQLQuery`
// in Grafana's own source (packages/grafana-sql/src/types.ts).
type sqlQuery struct {
	RefID      string          `json:"refId"`
	Hide       bool            `json:"hide,omitempty"`
	QueryType  string          `json:"queryType,omitempty"`
	Datasource sqlDatasource   `json:"datasource"`
	Alias      string          `json:"alias,omitempty"`
	Format     string          `json:"format"`
	RawSQL     string          `json:"rawSql"`
	Database   string          `json:"database,omitempty"`
	Dataset    string          `json:"dataset,omitempty"`
	Table      string          `json:"table,omitempty"`
	SQL        json.RawMessage `json:"sql,omitempty"`
	EditorMode string          `json:"editorMode"`
	RawQuery   bool            `json:"rawQuery"`
}

type sqlDatasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

var postgres = variants.DataqueryConfig{
	Identifier:                 "grafana-postgresql-datasource",
	DataqueryUnmarshaler:       readSQL,
	StrictDataqueryUnmarshaler: readSQL,
}

func readSQL(raw []byte) (variants.Dataquery, error) {
	query := sqlQuery{}
	if err := exactly(raw, &query); err != nil {
		return nil, err
	}
	return query, query.Validate()
}

// exactly reads an object of which every field is one of the struct's, by its very name: Go itself would take rawSQL
// for rawSql.
func exactly(raw []byte, into any) error {
	if err := json.Unmarshal(raw, into); err != nil {
		return err
	}
	known := map[string]bool{}
	kind := reflect.TypeOf(into).Elem()
	for n := range kind.NumField() {
		name, _, _ := strings.Cut(kind.Field(n).Tag.Get("json"), ",")
		known[name] = true
	}
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(raw, &fields); err != nil {
		return err
	}
	for name := range fields {
		if !known[name] {
			return fmt.Errorf("unexpected field '%s'", name)
		}
	}
	return nil
}

func (query sqlQuery) ImplementsDataqueryVariant() {}

func (query sqlQuery) DataqueryType() string { return "grafana-postgresql-datasource" }

func (query sqlQuery) Equals(other variants.Dataquery) bool { return reflect.DeepEqual(query, other) }

// Validate wants what a query needs to be run as it is written.
func (query sqlQuery) Validate() error {
	switch {
	case query.RefID == "" || query.RawSQL == "":
		return errors.New("a query in SQL has a refId and rawSql")
	case query.Format != "table" && query.Format != "time_series":
		return fmt.Errorf("format is %q: table or time_series", query.Format)
	case query.EditorMode != "code" || !query.RawQuery:
		return errors.New("a query that is written by hand has editorMode code and rawQuery true")
	}
	return nil
}
