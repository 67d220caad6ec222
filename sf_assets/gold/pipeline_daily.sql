-- The open pipeline at the end of each UTC day, by stage. `basis` says where it is known from: `raw`,
-- all versions that were read since the first export, or for the days before that
-- `opportunity_history`, Salesforce's own history of stages and amounts, which knows nothing of
-- opportunities that have been deleted since.
WITH
days AS (
    SELECT
        $day::DATE AS day,
        ($day::DATE + 1)::TIMESTAMPTZ AS day_end,
        (SELECT min(_read_at) FROM raw.opportunity) AS first_read
),
versions AS (
    SELECT o.Id, o.StageName, o.Amount, o.Probability, o.IsClosed OR o.IsDeleted AS is_over
    FROM raw.opportunity AS o, days
    WHERE o._cursor < days.day_end AND days.first_read < days.day_end
    QUALIFY
        row_number() OVER (PARTITION BY o.Id ORDER BY o._cursor DESC, o._read_at DESC, o._slice DESC)
        = 1
),
history AS (
    SELECT
        h.OpportunityId AS Id,
        h.StageName,
        h.Amount,
        h.Probability,
        h.ForecastCategory IN ('Closed', 'Omitted') AS is_over
    FROM silver.opportunityhistory AS h, days
    WHERE h.CreatedDate < days.day_end AND days.first_read >= days.day_end
    QUALIFY row_number() OVER (PARTITION BY h.OpportunityId ORDER BY h.CreatedDate DESC, h.Id DESC) = 1
),
known AS (
    SELECT *, 'raw' AS basis FROM versions
    UNION ALL
    SELECT *, 'opportunity_history' AS basis FROM history
)
SELECT
    days.day,
    known.StageName AS stage,
    count(*) AS opportunities,
    sum(known.Amount) AS amount,
    round(sum(known.Amount * known.Probability * 0.01), 2) AS weighted_amount,
    known.basis
FROM known, days
WHERE NOT known.is_over
GROUP BY days.day, known.StageName, known.basis
