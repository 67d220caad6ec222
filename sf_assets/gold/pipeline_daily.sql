-- The open pipeline at the end of each UTC day, by stage and currency. `basis` says where it is known
-- from: `raw`, all versions that were read since the first export, or for the days before that
-- `opportunity_history`, Salesforce's own history of stages and amounts, which knows nothing of
-- opportunities that have been deleted since. Amounts of 10^27 or more, which no field of Salesforce
-- holds, are left out.
WITH
days AS (
    SELECT
        $day::DATE AS day,
        ($day::DATE + 1)::TIMESTAMPTZ AS day_end,
        (SELECT min(_read_at) FROM raw.opportunity) AS first_read
),
-- Each version with when the next one came: found once, whatever days are asked for.
versions AS (
    SELECT
        o.StageName,
        o.CurrencyIsoCode,
        o.Amount,
        o.Probability,
        o.IsClosed OR o.IsDeleted AS is_over,
        o._cursor AS since,
        coalesce(
            lead(o._cursor) OVER (PARTITION BY o.Id ORDER BY o._cursor, o._read_at, o._slice),
            'infinity'::TIMESTAMPTZ
        ) AS until
    FROM raw.opportunity AS o
),
history AS (
    SELECT
        h.StageName,
        coalesce(h.CurrencyIsoCode, o.CurrencyIsoCode) AS CurrencyIsoCode,
        h.Amount,
        h.Probability,
        h.ForecastCategory IN ('Closed', 'Omitted') AS is_over,
        h.CreatedDate AS since,
        coalesce(
            lead(h.CreatedDate) OVER (PARTITION BY h.OpportunityId ORDER BY h.CreatedDate, h.Id),
            'infinity'::TIMESTAMPTZ
        ) AS until
    FROM silver.opportunityhistory AS h
    LEFT JOIN silver.opportunity AS o ON o.Id = h.OpportunityId
),
known AS (
    SELECT v.*, 'raw' AS basis
    FROM versions AS v
    JOIN days ON v.since < days.day_end AND v.until >= days.day_end
    WHERE days.first_read < days.day_end
    UNION ALL
    SELECT h.*, 'opportunity_history' AS basis
    FROM history AS h
    JOIN days ON h.since < days.day_end AND h.until >= days.day_end
    WHERE days.first_read >= days.day_end
),
deals AS (
    SELECT
        k.StageName,
        k.CurrencyIsoCode,
        k.basis,
        CASE WHEN abs(CAST(k.Amount AS DOUBLE)) < 1e27 THEN CAST(k.Amount AS DECIMAL(29, 2)) END
            AS amount,
        CASE
            WHEN CAST(k.Probability AS DOUBLE) BETWEEN 0 AND 100
                THEN CAST(k.Probability AS DECIMAL(5, 2))
        END AS probability
    FROM known AS k
    WHERE NOT k.is_over
)
SELECT
    -- UTC day, at whose end the pipeline was so
    days.day,
    -- Stage at the end of the day
    d.StageName AS stage,
    -- Currency of the amounts; empty where the org has one
    d.CurrencyIsoCode AS currency,
    -- Open opportunities
    count(*) AS opportunities,
    -- What they were worth
    sum(d.amount) AS amount,
    -- What they were worth, each weighted by its probability
    round(sum(d.amount * (d.probability * 0.01)), 2) AS weighted_amount,
    -- Where it is known from: raw, or opportunity_history
    d.basis
FROM deals AS d, days
GROUP BY days.day, d.StageName, d.CurrencyIsoCode, d.basis
