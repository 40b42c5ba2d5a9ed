// Checks dashboards strictly against the schema of Grafana, as its own library for dashboards knows it: every field
// must exist, have its type, and be there where it is required. Arguments are files; what is wrong is told, one
// complaint a line.
//
// Three things the library leaves open are checked here as well: panels and queries of a kind that it does not know
// (it takes them as they are), what stands in `fieldConfig` (it forgives unknown fields there), and queries in SQL
// (postgres.go).
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: grafana-schema DASHBOARD.json ...")
		os.Exit(2)
	}
	plugins.RegisterDefaultPlugins()
	cog.NewRuntime().RegisterDataqueryVariant(postgres)
	refused := false
	for _, path := range os.Args[1:] {
		raw, err := os.ReadFile(path)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		panels, complaints := check(raw)
		for _, complaint := range complaints {
			fmt.Printf("%s: %s\n", path, complaint)
		}
		if len(complaints) > 0 {
			refused = true
		} else {
			fmt.Printf("%s: %d panels as the schema has them\n", path, panels)
		}
	}
	if refused {
		os.Exit(1)
	}
}

// check tells how many panels there are, rows not counted, and what is wrong.
func check(raw []byte) (int, []string) {
	board := dashboard.Dashboard{}
	if err := whole(board.UnmarshalJSONStrict(raw)); err != nil {
		return 0, strings.Split(err.Error(), "\n")
	}
	if err := whole(board.Validate()); err != nil {
		return 0, strings.Split(err.Error(), "\n")
	}
	parts := struct {
		Panels []json.RawMessage `json:"panels"`
	}{}
	if err := json.Unmarshal(raw, &parts); err != nil {
		return 0, []string{err.Error()}
	}
	var complaints []string
	count := 0
	for n, raw := range parts.Panels {
		// The library has checked it, but keeps it only where something is wrong.
		panel := dashboard.Panel{}
		if err := whole(panel.UnmarshalJSONStrict(raw)); panel.Type == "row" {
			continue
		} else if err != nil {
			return 0, strings.Split(err.Error(), "\n")
		}
		count++
		name := fmt.Sprintf("panels[%d] of type %s", n, panel.Type)
		complaints = append(complaints, prefixed(name, fields(&panel, raw))...)
	}
	for n, annotation := range board.Annotations.List {
		if isUnknown(annotation.Target) {
			complaints = append(complaints, fmt.Sprintf("annotations[%d]: a query of no known kind", n))
		}
	}
	return count, complaints
}

// fields checks what the library leaves open in a panel.
func fields(panel *dashboard.Panel, raw json.RawMessage) []string {
	kind, found := cog.ConfigForPanelcfgVariant(panel.Type)
	if !found {
		return []string{fmt.Sprintf("there is no panel of type %q", panel.Type)}
	}
	var complaints []string
	for _, target := range panel.Targets {
		if isUnknown(target) {
			complaints = append(complaints, "a query of no known kind")
		}
	}
	parts := struct {
		FieldConfig json.RawMessage `json:"fieldConfig"`
	}{}
	if err := json.Unmarshal(raw, &parts); err != nil {
		return append(complaints, err.Error())
	}
	config := dashboard.FieldConfigSource{}
	if err := whole(config.UnmarshalJSONStrict(parts.FieldConfig)); err != nil {
		return append(complaints, strings.Split(err.Error(), "\n")...)
	}
	return append(complaints, overrides(config, kind)...)
}

// overrides checks what single columns have of their own: it must be what a panel could have for all of them.
func overrides(config dashboard.FieldConfigSource, kind variants.PanelcfgConfig) []string {
	var complaints []string
	for n, override := range config.Overrides {
		for _, property := range override.Properties {
			if err := possible(config, kind, property); err != nil {
				name := fmt.Sprintf("fieldConfig.overrides[%d] %s", n, property.Id)
				complaints = append(complaints, prefixed(name, strings.Split(err.Error(), "\n"))...)
			}
		}
	}
	return complaints
}

func possible(config dashboard.FieldConfigSource, kind variants.PanelcfgConfig, property dashboard.DynamicConfigValue) error {
	if property.Id == "links" {
		return dataLinks(property.Value)
	}
	name, isCustom := strings.CutPrefix(property.Id, "custom.")
	if !isCustom {
		raw, err := json.Marshal(map[string]any{property.Id: property.Value})
		if err != nil {
			return err
		}
		return whole((&dashboard.FieldConfig{}).UnmarshalJSONStrict(raw))
	}
	if kind.StrictFieldConfigUnmarshaler == nil {
		return errors.New("this panel has no such field")
	}
	custom, isMap := config.Defaults.Custom.(map[string]any)
	if !isMap {
		custom = map[string]any{}
	}
	with := map[string]any{name: property.Value}
	for field, value := range custom {
		if field != name {
			with[field] = value
		}
	}
	raw, err := json.Marshal(with)
	if err != nil {
		return err
	}
	_, err = kind.StrictFieldConfigUnmarshaler(raw)
	return whole(err)
}

// dataLinks checks links of a column. The schema takes them for links of a dashboard, which have more fields; those
// that Grafana reads are of `DataLink` (packages/grafana-data/src/types/dataLink.ts).
func dataLinks(value any) error {
	links, isList := value.([]any)
	if !isList {
		return errors.New("not a list")
	}
	for _, link := range links {
		raw, err := json.Marshal(link)
		if err != nil {
			return err
		}
		if err := exactly(raw, &dataLink{}); err != nil {
			return err
		}
	}
	return nil
}

type dataLink struct {
	Title       string `json:"title"`
	URL         string `json:"url"`
	TargetBlank bool   `json:"targetBlank"`
}

func isUnknown(query variants.Dataquery) bool {
	_, unknown := query.(variants.UnknownDataquery)
	return unknown
}

// whole is nil where the library says "no errors" by an empty list.
func whole(err error) error {
	var list cog.BuildErrors
	if err == nil || (errors.As(err, &list) && len(list) == 0) {
		return nil
	}
	return err
}

func prefixed(name string, complaints []string) []string {
	sort.Strings(complaints)
	for n, complaint := range complaints {
		complaints[n] = name + ": " + complaint
	}
	return complaints
}
