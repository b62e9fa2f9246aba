import com.github.signaflo.timeseries.TestData;
import java.nio.file.Files;
import java.nio.file.Path;

/// Writes the series `ausbeer` of com.github.signaflo:timeseries:0.4 (MIT licence) as a CSV file:
/// beer produced in Australia, a number for each quarter from 1956 on. See `docs/series.md`.
public class ExtractSeries {
  public static void main(String[] args) throws Exception {
    var csv = new StringBuilder("quarter,beer\n");
    double[] beer = TestData.ausbeer.asArray();
    for (int i = 0; i < beer.length; i++) {
      csv.append("%d-Q%d,%s%n".formatted(1956 + i / 4, 1 + i % 4, beer[i]));
    }
    Files.writeString(Path.of(args[0]), csv);
  }
}
